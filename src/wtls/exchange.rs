//! The server's and the client's part of a key exchange (10.5.3, 10.5.7).

use zeroize::Zeroizing;

use crate::wtls::alert::Description;
use crate::wtls::config::Credentials;
use crate::wtls::curve::{self, Curve};
use crate::wtls::dh::{self, Group};
use crate::wtls::hello::Chosen;
use crate::wtls::message::{
    MessageType, Parameters, RsaPublicKey, parameters, put_message, put_parameters, put_vector8,
    put_vector16, rsa_public_key, vector8, vector16,
};
use crate::wtls::rsa::SECRET;
use crate::wtls::secret_random::SecretRandom;
use crate::wtls::suite::Method;

/// The pre-master secret.
pub(super) type PreMaster = Zeroizing<Vec<u8>>;

/// The server's state of a key exchange between its flight and the client's.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(super) enum ServerExchange {
    Rsa,
    Ecdh(Box<Curve>, Box<curve::KeyPair>),
    Dh(Box<Group>, Box<dh::KeyPair>),
}

impl ServerExchange {
    /// Begins an exchange. The second value is the ServerKeyExchange, which RSA with certificates has not.
    pub(super) fn begin(
        chosen: Chosen,
        credentials: Option<&Credentials>,
        random: &mut SecretRandom,
    ) -> Result<(Self, Option<Vec<u8>>), Description> {
        let mut message = Vec::new();
        let mut put = |body: &dyn Fn(&mut Vec<u8>)| {
            put_message(&mut message, MessageType::SERVER_KEY_EXCHANGE, body);
        };
        let exchange = match chosen {
            Chosen::Rsa => return Ok((Self::Rsa, None)),
            Chosen::RsaAnonymous => {
                let key = credentials
                    .ok_or(Description::HANDSHAKE_FAILURE)?
                    .key
                    .public();
                put(&|out| {
                    put_parameters(out, Parameters::index(0));
                    key.put(out);
                });
                Self::Rsa
            }
            // Parameters that the client named are not said again.
            Chosen::Ecdh(curve, named, compressed) => {
                let pair = curve.generate(random);
                let public = curve.public(&pair, compressed);
                let index = if named { 0 } else { curve.number };
                put(&|out| {
                    put_parameters(out, Parameters::index(index));
                    put_vector8(out, &public);
                });
                Self::Ecdh(curve, Box::new(pair))
            }
            Chosen::Dh(group, named) => {
                let pair = group.generate(random);
                let index = if named { 0 } else { group.number };
                put(&|out| {
                    put_parameters(out, Parameters::index(index));
                    put_vector16(out, |out| out.extend_from_slice(&pair.public));
                });
                Self::Dh(group, Box::new(pair))
            }
        };
        Ok((exchange, Some(message)))
    }

    /// The pre-master secret, from the body of a ClientKeyExchange.
    pub(super) fn finish(
        &self,
        body: &[u8],
        version: u8,
        credentials: Option<&Credentials>,
        random: &mut SecretRandom,
    ) -> Result<PreMaster, Description> {
        const MALFORMED: Description = Description::DECODE_ERROR;
        let value = |read: crate::codec::Parsed<'_, &[u8]>| match read {
            Ok(([], value)) => Ok(value.to_vec()),
            _ => Err(MALFORMED),
        };
        match self {
            Self::Rsa => {
                let encrypted = value(vector16(body))?;
                let key = &credentials.ok_or(Description::INTERNAL_ERROR)?.key;
                let secret = key.decrypt_secret(&encrypted, version, random);
                Ok(rsa_pre_master(&secret, key.public()))
            }
            Self::Ecdh(curve, pair) => {
                let point = value(vector8(body))?;
                curve
                    .agree(pair, &point)
                    .ok_or(Description::ILLEGAL_PARAMETER)
            }
            Self::Dh(group, pair) => {
                let public = value(vector16(body))?;
                group
                    .agree(pair, &public)
                    .ok_or(Description::ILLEGAL_PARAMETER)
            }
        }
    }
}

/// The client's part of an exchange: the pre-master secret, and its ClientKeyExchange. `server`: the body of the
/// ServerKeyExchange, or the key of the server's certificate; `named`: the parameters that the client named.
pub(super) fn answer(
    method: Method,
    server: Result<&[u8], RsaPublicKey<'_>>,
    named: u8,
    version: u8,
    random: &mut SecretRandom,
) -> Result<(PreMaster, Vec<u8>), Description> {
    const MALFORMED: Description = Description::DECODE_ERROR;
    let (index, body) = match server {
        Ok(body) => {
            let (rest, parameters) = parameters(body).map_err(|_| MALFORMED)?;
            (parameters.index, rest)
        }
        Err(_) => (0, &[][..]),
    };
    let index = if index == 0 { named } else { index };
    let mut message = Vec::new();
    let mut put = |body: &dyn Fn(&mut Vec<u8>)| {
        put_message(&mut message, MessageType::CLIENT_KEY_EXCHANGE, body);
    };
    let pre_master = match method {
        Method::Rsa | Method::RsaAnonymous => {
            let key = match server {
                Ok(_) => rsa_public_key(body).map_err(|_| MALFORMED)?.1,
                Err(key) => key,
            };
            let mut secret = Zeroizing::new([0; SECRET]);
            random.fill(&mut *secret);
            if let Some(first) = secret.first_mut() {
                *first = version;
            }
            let encrypted = key
                .encrypt(&secret, random)
                .ok_or(Description::ILLEGAL_PARAMETER)?;
            put(&|out| put_vector16(out, |out| out.extend_from_slice(&encrypted)));
            rsa_pre_master(&secret, key)
        }
        Method::Ecdh { compressed } => {
            let curve = Curve::of(index).ok_or(Description::UNKNOWN_PARAMETER_INDEX)?;
            let (_, point) = vector8(body).map_err(|_| MALFORMED)?;
            let pair = curve.generate(random);
            let public = curve.public(&pair, compressed);
            put(&|out| put_vector8(out, &public));
            curve
                .agree(&pair, point)
                .ok_or(Description::ILLEGAL_PARAMETER)?
        }
        Method::Dh => {
            let group = Group::of(index).ok_or(Description::UNKNOWN_PARAMETER_INDEX)?;
            let (_, public) = vector16(body).map_err(|_| MALFORMED)?;
            let pair = group.generate(random);
            put(&|out| put_vector16(out, |out| out.extend_from_slice(&pair.public)));
            group
                .agree(&pair, public)
                .ok_or(Description::ILLEGAL_PARAMETER)?
        }
    };
    Ok((pre_master, message))
}

/// The secret, followed by the server's public key (11.1.1).
pub(super) fn rsa_pre_master(secret: &[u8; SECRET], key: RsaPublicKey<'_>) -> PreMaster {
    let mut pre_master = Zeroizing::new(secret.to_vec());
    key.put(&mut pre_master);
    pre_master
}
