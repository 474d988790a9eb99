"""What queues, streams and schedules call. A Lambda imports one of these modules alone, never app.py."""
