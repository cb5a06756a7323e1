//! A connection to the store: to one server, to the master that Sentinels name, or to a cluster.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, ProtocolVersion,
    PushInfo, RedisError, RedisFuture, RedisResult, TlsCertificates, TlsMode, Value,
};

use super::settings::Settings;

/// A connection. Clones share it, and requests of all clones are under way at the same time.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What is told about messages of the store that answer no request. Must not wait.
pub(super) type OnPush = std::sync::Arc<dyn Fn(&PushInfo) + Send + Sync>;

impl Link {
    /// Connects. The caller limits the time.
    pub(super) async fn connect(settings: &Settings, on_push: OnPush) -> RedisResult<Self> {
        let push = move |info: PushInfo| {
            on_push(&info);
            Ok::<(), ()>(())
        };
        // The caller limits the time of each request, too.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(push.clone());
        if let Some(service) = &settings.sentinel {
            let mut sentinel = sentinel(settings, service)?.build()?;
            let connection = sentinel.get_async_connection_with_config(&config).await?;
            return Ok(Self::Server(connection));
        }
        let infos = infos(settings)?;
        let mut failed = None;
        for info in &infos {
            let connected = client(settings, info.clone())?
                .get_multiplexed_async_connection_with_config(&config)
                .await;
            let mut connection = match connected {
                Ok(connection) => connection,
                // Another node of the cluster may answer.
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            let info: String = redis::cmd("INFO")
                .arg("cluster")
                .query_async(&mut connection)
                .await?;
            if info.contains("cluster_enabled:1") {
                let cluster = cluster(settings, infos.clone()).push_sender(push);
                let connection = cluster.build()?.get_async_connection().await?;
                return Ok(Self::Cluster(connection));
            }
            return match infos.len() {
                1 => Ok(Self::Server(connection)),
                _ => Err(RedisError::from((
                    ErrorKind::InvalidClientConfig,
                    "several servers that are no cluster; name one, or set `sentinel`",
                ))),
            };
        }
        let none = || RedisError::from((ErrorKind::InvalidClientConfig, "no server"));
        Err(failed.unwrap_or_else(none))
    }

    /// Listens to a channel.
    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Server(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(it) => it.req_packed_commands(pipeline, offset, count),
            Self::Cluster(it) => it.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// The servers with credentials. The third version of the protocol has messages beside answers.
fn infos(settings: &Settings) -> RedisResult<Vec<ConnectionInfo>> {
    let infos = settings.servers.iter().map(|server| {
        let info = server.info()?;
        let mut redis = info.redis_settings().clone();
        redis = redis.set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = &settings.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &settings.password {
            redis = redis.set_password(password.reveal());
        }
        Ok(info.set_redis_settings(redis))
    });
    infos.collect()
}

fn client(settings: &Settings, info: ConnectionInfo) -> RedisResult<Client> {
    match is_tls(settings) {
        true => Client::build_with_tls(info, certificates(settings)),
        false => Client::open(info),
    }
}

fn cluster(settings: &Settings, infos: Vec<ConnectionInfo>) -> ClusterClientBuilder {
    let mut builder = ClusterClientBuilder::new(infos)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(settings.latency)
        .response_timeout(settings.latency)
        // The worker tries again.
        .retries(2);
    if let Some(user) = &settings.user {
        builder = builder.username(user);
    }
    if let Some(password) = &settings.password {
        builder = builder.password(password.reveal());
    }
    if is_tls(settings) {
        builder = builder.tls(TlsMode::Secure).certs(certificates(settings));
    }
    builder
}

fn sentinel(settings: &Settings, service: &str) -> RedisResult<SentinelClientBuilder> {
    let infos = infos(settings)?;
    let database = infos.first().map_or(0, |info| info.redis_settings().db());
    let addresses = infos.iter().map(|info| info.addr().clone());
    let master = SentinelServerType::Master;
    let mut builder = SentinelClientBuilder::new(addresses, service, master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(database);
    if let Some(user) = &settings.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &settings.password {
        builder = builder.set_client_to_redis_password(password.reveal());
    }
    if is_tls(settings) {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates(settings))
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_certificates(certificates(settings));
    }
    Ok(builder)
}

fn is_tls(settings: &Settings) -> bool {
    settings.servers.iter().any(super::Server::is_tls)
}

fn certificates(settings: &Settings) -> TlsCertificates {
    TlsCertificates {
        client_tls: None,
        root_cert: settings.authorities.clone(),
    }
}
