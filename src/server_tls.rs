//! TLS of the gateway's own TCP listeners, towards handsets and push initiators.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;

/// Certificate and key of a listener, and the authorities of its clients, loaded and checked.
#[derive(Clone)]
pub struct ServerTls {
    /// The files with the certificate, the key and the authorities of clients.
    pub files: Vec<PathBuf>,
    /// The loaded configuration: TLS 1.2 and 1.3.
    pub config: Arc<ServerConfig>,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}
