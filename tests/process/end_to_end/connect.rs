//! ConnectReply to the octet, for clients that say this and that about themselves.

use std::time::Duration;

use tokio::net::UdpSocket;
use wapbridge::codec::put_uintvar;

use super::Bridge;

/// The ConnectReply to these capabilities and headers, without its session id: lengths,
/// capabilities, headers.
async fn connected(bridge: &Bridge, tid: u8, capabilities: &[u8], headers: &[u8]) -> Vec<u8> {
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(bridge.address()).await.unwrap();
    // Invoke of class 2, the only packet, with a Connect of WSP 1.0.
    let mut invoke = vec![0x0A, 0x00, tid, 0x02, 0x01, 0x10];
    for part in [capabilities, headers] {
        put_uintvar(&mut invoke, u32::try_from(part.len()).unwrap());
    }
    invoke.extend([capabilities, headers].concat());
    client.send(&invoke).await.unwrap();
    let mut datagram = [0; 1_500];
    loop {
        let received = tokio::time::timeout(Duration::from_secs(20), client.recv(&mut datagram));
        let len = received.await.expect("no answer").unwrap();
        match &datagram[..len] {
            // An Ack that asks whether the transaction is ours.
            [kind, ..] if *kind & 0x7C == 0x1C => {
                client.send(&[0x1C, 0x00, tid]).await.unwrap();
            }
            // The Result, with a ConnectReply.
            [kind, _, _, 0x02, reply @ ..] if *kind & 0x78 == 0x10 => {
                client.send(&[0x18, 0x00, tid]).await.unwrap();
                let id = reply.iter().take_while(|octet| **octet >= 0x80).count() + 1;
                return reply[id..].to_vec();
            }
            other => panic!("{other:02x?}"),
        }
    }
}

#[tokio::test]
async fn a_reply_names_its_encoding_version_in_the_form_that_the_client_can_read() {
    let bridge = Bridge::to("https://localhost:1/");
    for (headers, expected) in [
        // WSP 8.4.2.70: to a client that names none, the gateway's.
        (&b""[..], &b"\x00\x15Encoding-Version\x001.5\x00"[..]),
        // The number came with 1.3; before that the field has a name.
        (b"\xC3\x91", b"\x00\x15encoding-version\x001.1\x00"),
        (b"\xC3\x92", b"\x00\x15encoding-version\x001.2\x00"),
        (b"\xC3\x93", b"\x00\x02\xC3\x93"),
        (b"\xC3\x95", b"\x00\x02\xC3\x95"),
        (b"\xC3\x96", b"\x00\x02\xC3\x95"),
        (b"\xC3\xA0", b"\x00\x02\xC3\x95"),
        (b"Encoding-Version\x001.3\x00", b"\x00\x02\xC3\x93"),
    ] {
        let reply = connected(&bridge, 1, b"", headers).await;
        assert_eq!(reply, expected, "{}", headers.escape_ascii());
    }
}

#[tokio::test]
async fn a_reply_grants_no_push_bits_and_no_size_that_fits_nothing() {
    let bridge = Bridge::to("https://localhost:1/");
    for (capabilities, granted) in [
        // Protocol options: confirmed push, push, session resume, acknowledgement headers, large
        // data transfer.
        (&b"\x02\x82\xF8"[..], &b"\x02\x82\x38"[..]),
        (b"\x02\x82\xF0", b"\x02\x82\x30"),
        (b"\x02\x82\xC0", b"\x02\x82\x00"),
        (b"\x02\x82\x40", b"\x02\x82\x00"),
        (b"\x02\x82\x30", b"\x02\x82\x30"),
        // Further octets of the options are nobody's.
        (b"\x03\x82\xF8\x00", b"\x02\x82\x38"),
        // Of options that come twice, the last ones count.
        (b"\x02\x82\xF0\x02\x82\x30", b"\x02\x82\x30"),
        // Client-SDU-Size: 3 is the default, no limit is the gateway's.
        (b"\x02\x80\x03", b"\x03\x80\x8A\x78"),
        (b"\x02\x80\x00", b"\x04\x80\xC0\x80\x00"),
    ] {
        // With an Encoding-Version, so that the reply's headers are short.
        let reply = connected(&bridge, 1, capabilities, b"\xC3\x95").await;
        let lengths = [u8::try_from(granted.len()).unwrap(), 2];
        let expected = [&lengths, granted, b"\xC3\x95"].concat();
        assert_eq!(reply, expected, "{capabilities:02x?}");
    }
}
