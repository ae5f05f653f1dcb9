"""Takes documents over HTTP into the stream, and shows them as soon as they are taken."""
