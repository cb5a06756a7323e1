//! Terminals with an HTTP server (OTA-HTTP).
