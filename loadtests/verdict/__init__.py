"""What a load run is judged by: its results, the targets, the gate, the report."""
