//! Results that initiators are told by HTTPS, and initiators that come by TLS.
