"""An HTTP server with limits, for every service; needs the extra `server`."""
