//! What the server chooses of a client's offer (10.5.1).

use std::cell::OnceCell;

use crate::wtls::alert::Description;
use crate::wtls::config::Config;
use crate::wtls::curve::{self, Curve};
use crate::wtls::dh::{self, Group};
use crate::wtls::message::{ClientHello, KeyExchangeId, VERSION};
use crate::wtls::suite::{Bulk, CipherSuite, KeyExchange, Method};

/// A key exchange that was chosen.
#[derive(Debug)]
pub(super) enum Chosen {
    /// With certificates.
    Rsa,
    /// Without.
    RsaAnonymous,
    /// On a curve; whether the client named it; whether points are compressed.
    Ecdh(Box<Curve>, bool, bool),
    /// In a group; whether the client named it.
    Dh(Box<Group>, bool),
}

/// What was chosen of an offer.
#[derive(Debug)]
pub(super) struct Choice {
    /// Which of the client's key exchanges, from 1 on.
    pub(super) client_key_id: u8,
    pub(super) exchange: Chosen,
    pub(super) suite: CipherSuite,
}

/// Looks at what every handshake has to have.
pub(super) fn check(hello: &ClientHello<'_>) -> Result<(), Description> {
    if hello.version < VERSION {
        return Err(Description::PROTOCOL_VERSION);
    }
    if !hello.compression_methods.contains(&0) {
        return Err(Description::ILLEGAL_PARAMETER);
    }
    Ok(())
}

/// Chooses the first of the client's suites and key exchanges that is accepted.
pub(super) fn choose(config: &Config, hello: &ClientHello<'_>) -> Result<Choice, Description> {
    if hello.client_key_ids.is_empty() {
        return Err(Description::UNKNOWN_KEY_ID);
    }
    let suite = suite(config, hello)?;
    let offer = Offer {
        config,
        hello,
        is_trusted: OnceCell::new(),
    };
    let mut problem = Description::HANDSHAKE_FAILURE;
    for (number, id) in (1..).zip(&hello.client_key_ids) {
        match offer.exchange(id) {
            Ok(Some(exchange)) => {
                return Ok(Choice {
                    client_key_id: number,
                    exchange,
                    suite,
                });
            }
            Ok(None) => {}
            Err(description) => problem = description,
        }
        if number == u8::MAX {
            break;
        }
    }
    Err(problem)
}

fn suite(config: &Config, hello: &ClientHello<'_>) -> Result<CipherSuite, Description> {
    let offered = &hello.cipher_suites;
    let accepted = offered
        .iter()
        .find_map(|&(bulk, mac)| config.accepts(bulk, mac));
    accepted.ok_or_else(|| {
        let is_known = |&(bulk, _): &(u8, u8)| Bulk::of(bulk).is_some();
        match offered.iter().any(is_known) {
            true => Description::INSUFFICIENT_SECURITY,
            false => Description::HANDSHAKE_FAILURE,
        }
    })
}

/// An offer that is looked at.
struct Offer<'a> {
    config: &'a Config,
    hello: &'a ClientHello<'a>,
    /// Whether the client trusts whoever issued our certificate. Found out once, for a hostile offer
    /// names many exchanges and many authorities.
    is_trusted: OnceCell<bool>,
}

impl Offer<'_> {
    /// One key exchange of the offer, if it is accepted. An error is what is said if no other one is.
    fn exchange(&self, id: &KeyExchangeId<'_>) -> Result<Option<Chosen>, Description> {
        let config = self.config;
        let suite = KeyExchange(id.suite);
        let Some((method, limit)) = suite.method() else {
            return Ok(None);
        };
        if !config.key_exchanges.contains(&suite) {
            return Ok(None);
        }
        let fits = |bits: usize| limit.is_none_or(|limit| bits <= limit);
        let index = id.parameters.index;
        // Parameters that the client brings itself are not looked at: nobody could say what they are worth.
        match method {
            Method::Rsa | Method::RsaAnonymous => {
                let Some(credentials) = &config.credentials else {
                    return Ok(None);
                };
                if !fits(credentials.key.bits()) {
                    return Ok(None);
                }
                if method == Method::RsaAnonymous {
                    // A client that must have a certificate has to be asked for it, which only RSA with ours can.
                    let anonymous = config.client_authorities.is_empty();
                    return Ok(anonymous.then_some(Chosen::RsaAnonymous));
                }
                // Only a certificate of an authority that the client trusts may be sent, or any if it names none.
                let Some(last) = credentials.chain.last() else {
                    return Ok(None);
                };
                let trusted = &self.hello.trusted_key_ids;
                let is_trusted = *self.is_trusted.get_or_init(|| {
                    let named = trusted.iter().map(|id| id.identifier);
                    trusted.is_empty()
                        || last.is_issued_by_any(named, credentials.authority.as_ref())
                });
                Ok(is_trusted.then_some(Chosen::Rsa))
            }
            Method::Ecdh { .. } | Method::Dh if !config.client_authorities.is_empty() => Ok(None),
            Method::Ecdh { compressed } => {
                let curve = match index {
                    0 => curve::sizes()
                        .filter(|(number, _)| limit.is_some() || *number == curve::PREFERRED)
                        .find(|(_, bits)| fits(*bits)),
                    named => curve::sizes().find(|(number, bits)| *number == named && fits(*bits)),
                };
                let curve = curve.and_then(|(number, _)| Curve::of(number));
                let curve = curve.ok_or(Description::UNKNOWN_PARAMETER_INDEX)?;
                let chosen = Chosen::Ecdh(Box::new(curve), index != 0, compressed);
                Ok(Some(chosen))
            }
            Method::Dh => {
                let group = match index {
                    0 => dh::sizes().find(|(_, bits)| fits(*bits)),
                    named => dh::sizes().find(|(number, bits)| *number == named && fits(*bits)),
                };
                let group = group.and_then(|(number, _)| Group::of(number));
                let group = group.ok_or(Description::UNKNOWN_PARAMETER_INDEX)?;
                Ok(Some(Chosen::Dh(Box::new(group), index != 0)))
            }
        }
    }
}
