//! Whole handshakes and messages of two implementations that were not written here, octet for octet.

use serde_json::Value;

use crate::time::Instant;
use crate::wdp::{Datagram, Peer, Service};
use crate::wtls::keys::{MasterSecret, Security, Side};
use crate::wtls::message::{message, vector16};
use crate::wtls::record::records;
use crate::wtls::secret_random::SecretRandom;
use crate::wtls::tests::key;
use crate::wtls::{CipherSuite, ClientConfig, Config, Credentials, KeyExchange, default_suites};

const FILES: [&str; 4] = [
    include_str!("../../../fixtures/wtls/rsa_anon-1-3.json"),
    include_str!("../../../fixtures/wtls/rsa_anon-2-3.json"),
    include_str!("../../../fixtures/wtls/rsa_anon-3-3.json"),
    include_str!("../../../fixtures/wtls/rsa_anon-5-3.json"),
];

fn unhex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

fn number(value: &Value) -> u8 {
    u8::try_from(value.as_u64().unwrap()).unwrap()
}

struct Vector {
    file: Value,
    suite: CipherSuite,
}

impl Vector {
    fn all() -> impl Iterator<Item = Self> {
        FILES.iter().map(|file| {
            let file: Value = serde_json::from_str(file).unwrap();
            let suite = CipherSuite::of(
                number(&file["suite"]["bulk"]),
                number(&file["suite"]["mac"]),
            );
            Self {
                suite: suite.unwrap(),
                file,
            }
        })
    }

    fn octets<const N: usize>(&self, name: &str) -> [u8; N] {
        unhex(&self.file[name]).try_into().unwrap()
    }

    fn datagrams(&self) -> Vec<(bool, Vec<u8>)> {
        let list = self.file["datagrams"].as_array().unwrap();
        list.iter()
            .map(|pair| (pair[0] == "C>", unhex(&pair[1])))
            .collect()
    }

    fn peer() -> Peer {
        Peer::new(
            "10.0.0.7:40000".parse().unwrap(),
            "192.0.2.1:9203".parse().unwrap(),
        )
    }
}

#[test]
fn secrets_and_key_blocks_are_those_of_the_vectors() {
    for vector in Vector::all() {
        let randoms = (
            vector.octets("client_random"),
            vector.octets("server_random"),
        );
        let pre_master = unhex(&vector.file["pre_master"]);
        let master = MasterSecret::derive(vector.suite, &pre_master, &randoms.0, &randoms.1);
        assert_eq!(master.reveal(), &vector.octets("master_secret"));
        let secret: [u8; 20] = vector.octets("secret");
        let ours = crate::wtls::exchange::rsa_pre_master(&secret, key().public());
        assert_eq!(*ours, pre_master);
        let refresh = number(&vector.file["suite"]["key_refresh"]);
        let security = Security::new(vector.suite, master, randoms.0, randoms.1, refresh);
        for (name, side) in [("client", Side::Client), ("server", Side::Server)] {
            for block in vector.file[name].as_array().unwrap() {
                let point = u16::try_from(block["refresh_point"].as_u64().unwrap()).unwrap();
                let ours = security.key_block(side, point);
                // Exportable ciphers have IVs of their own.
                if !vector.suite.bulk.exportable {
                    assert_eq!(ours.record_iv(0).to_vec(), unhex(&block["iv"]));
                }
                let theirs = crate::wtls::hash::HmacKey::new(
                    vector.suite.mac.hash,
                    &unhex(&block["mac_secret"]),
                );
                assert_eq!(ours.mac.mac(&[b"x"]), theirs.mac(&[b"x"]));
            }
        }
    }
}

#[test]
fn the_server_says_what_the_vectors_say() {
    for vector in Vector::all() {
        let datagrams = vector.datagrams();
        let (_, flight) = &datagrams[1];
        let hello = records(flight).0[0].fragment;
        let (_, hello) = message(hello).unwrap();
        let (_, hello) = crate::wtls::server_hello(hello.body).unwrap();
        let mut script = vector.octets::<16>("server_random").to_vec();
        script.extend_from_slice(hello.session_id);
        let config = std::sync::Arc::new(Config {
            credentials: Some(std::sync::Arc::new(
                Credentials::new(key(), Vec::new()).unwrap(),
            )),
            suites: default_suites(0),
            key_refresh: number(&vector.file["suite"]["key_refresh"]),
            session_id_octets: 1,
            ..Config::default()
        });
        let mut server = crate::wtls::Endpoint::new(config, [0; 32], None)
            .with_random(SecretRandom::scripted(&script));
        let plains = vector.file["app"].as_array().unwrap();
        let mut said = Vec::new();
        let mut expected = Vec::new();
        let mut asked = Vec::new();
        for (from_client, octets) in &datagrams {
            if !from_client {
                expected.push(octets.clone());
                continue;
            }
            let datagram = Datagram {
                peer: Vector::peer(),
                service: Service::SecureConnectionMode,
                payload: octets,
            };
            server.handle_datagram(Instant::ZERO, datagram);
            let mut buf = Vec::new();
            while server.poll_transmit(&mut buf).is_some() {
                said.push(std::mem::take(&mut buf));
            }
            while let Some(opened) = server.poll_datagram() {
                let answer = unhex(&plains[asked.len()]["server_plain"]);
                asked.push(opened.payload);
                server
                    .seal(Instant::ZERO, Vector::peer(), &answer, &mut buf)
                    .unwrap();
                said.push(std::mem::take(&mut buf));
            }
        }
        assert_eq!(said, expected, "{}", vector.suite);
        let questions: Vec<_> = plains.iter().map(|it| unhex(&it["client_plain"])).collect();
        assert_eq!(asked, questions);
    }
}

#[test]
fn the_client_says_what_the_vectors_say() {
    for vector in Vector::all() {
        let datagrams = vector.datagrams();
        // The padding of the secret is as random as the secret.
        let flight = records(&datagrams[2].1).0;
        let (_, exchange) = message(flight[0].fragment).unwrap();
        let (_, encrypted) = vector16(exchange.body).unwrap();
        let block = key().decrypt_raw(encrypted);
        let (head, secret) = block.split_at(block.len() - 20);
        let padding = &head[2..head.len() - 1];
        let mut script = vector.octets::<16>("client_random").to_vec();
        script.extend_from_slice(secret);
        script.extend_from_slice(padding);
        let begin = &vector.file["client_random"].as_str().unwrap()[..8];
        let config = ClientConfig {
            key_exchanges: vec![(KeyExchange::RSA_ANON, 0)],
            suites: vec![vector.suite],
            key_refresh: 3,
            authorities: std::sync::Arc::new([]),
            host: None,
            epoch: u64::from_str_radix(begin, 16).ok(),
            credentials: None,
            retry_interval: std::time::Duration::from_secs(2),
            max_retries: 1,
        };
        let mut client =
            crate::wtls::Client::new(config, [0; 32]).with_random(SecretRandom::scripted(&script));
        client.connect(Instant::ZERO);
        let plains = vector.file["app"].as_array().unwrap();
        let mut questions = plains.iter();
        let mut said = Vec::new();
        let mut heard = Vec::new();
        for (from_client, octets) in &datagrams {
            if !from_client {
                client.handle_datagram(Instant::ZERO, octets);
            }
            if client.is_open()
                && !from_client
                && let Some(question) = questions.next()
            {
                client.send(unhex(&question["client_plain"]));
            }
            while let Some(datagram) = client.poll_transmit() {
                said.push(datagram);
            }
            while let Some(plain) = client.poll_datagram() {
                heard.push(plain);
            }
        }
        let expected: Vec<_> = datagrams
            .iter()
            .filter(|(from_client, _)| *from_client)
            .map(|(_, octets)| octets.clone())
            .collect();
        assert_eq!(said, expected, "{}", vector.suite);
        let answers: Vec<_> = plains.iter().map(|it| unhex(&it["server_plain"])).collect();
        assert_eq!(heard, answers);
    }
}
