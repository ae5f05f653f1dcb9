"""Takes documents over HTTP into the stream, and shows them as soon as they are taken; takes points
of devices into Kafka, and shows what was stored of them."""
