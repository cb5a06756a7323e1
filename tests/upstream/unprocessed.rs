//! Requests that an origin provably has not processed are sent again, and no others (RFC 9113 6.8,
//! 8.7).

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use wapbridge::gateway::fetch::Failure;

use super::frames::{
    Connection, END_HEADERS, END_STREAM, HEADERS, HTTP_1_1_REQUIRED, INTERNAL_ERROR, NO_ERROR,
    REFUSED_STREAM, origin,
};
use super::{OK, assert_fails};
use crate::support::certificate::{Certificate, acceptor};
use crate::support::raw::{listen, read_request, request, upstream};

/// The last stream of a graceful shutdown's first GOAWAY (RFC 9113 6.8).
const ANY: u32 = (1 << 31) - 1;

#[tokio::test]
async fn a_post_above_the_last_stream_of_goaway_is_sent_again() {
    for reason in [NO_ERROR, INTERNAL_ERROR] {
        let (address, log) = origin(move |mut connection: Connection| async move {
            if connection.number == 1 {
                connection.request().await;
                connection.goaway(0, reason).await;
                return connection.close().await;
            }
            connection.serve().await;
        })
        .await;
        let post = request(Method::POST, address, b"x");
        let (reply, retries) = upstream().fetch_with_retries(post, &granting).await;
        assert_eq!(reply.unwrap().status, 204);
        assert_eq!(retries.to_string(), "sent again 1 time (goaway 1)");
        assert_eq!((log.connections(), log.answered()), (2, 1));
    }
}

#[tokio::test]
async fn a_post_at_the_last_stream_of_goaway_gets_its_reply_or_is_lost_but_never_sent_again() {
    for answers in [true, false] {
        let (address, log) = origin(move |mut connection: Connection| async move {
            let Some(stream) = connection.request().await else {
                return;
            };
            connection.goaway(stream, NO_ERROR).await;
            if answers {
                connection.reply(stream).await;
            }
            connection.close().await;
        })
        .await;
        let result = upstream().fetch(request(Method::POST, address, b"x")).await;
        match answers {
            true => assert_eq!(result.unwrap().status, 204),
            false => assert_fails(result, Failure::Reset, "localhost:"),
        }
        assert_eq!((log.connections(), log.whole()), (1, 1));
    }
}

#[tokio::test]
async fn a_post_below_the_last_stream_of_goaway_is_answered_on_its_connection() {
    let (address, log) = origin(|mut connection: Connection| async move {
        let Some(stream) = connection.request().await else {
            return;
        };
        connection.goaway(stream + 2, NO_ERROR).await;
        connection.reply(stream).await;
        connection.close().await;
    })
    .await;
    let reply = upstream().fetch(request(Method::POST, address, b"x")).await;
    assert_eq!(reply.unwrap().status, 204);
    assert_eq!((log.connections(), log.whole()), (1, 1));
}

#[tokio::test]
async fn the_real_goaway_after_a_warning_decides() {
    for (last, connections) in [(0, 2), (1, 1)] {
        let (address, log) = origin(move |mut connection: Connection| async move {
            if connection.number > 1 {
                return connection.serve().await;
            }
            let Some(stream) = connection.request().await else {
                return;
            };
            connection.goaway(ANY, NO_ERROR).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection.goaway(last, NO_ERROR).await;
            if last >= stream {
                connection.reply(stream).await;
            }
            connection.close().await;
        })
        .await;
        let reply = upstream().fetch(request(Method::POST, address, b"x")).await;
        assert_eq!(reply.unwrap().status, 204);
        assert_eq!((log.connections(), log.answered()), (connections, 1));
    }
}

#[tokio::test]
async fn a_connection_that_has_received_goaway_takes_no_new_streams() {
    let (address, log) = origin(|mut connection: Connection| async move {
        if connection.number > 1 {
            return connection.serve().await;
        }
        let Some(first) = connection.request().await else {
            return;
        };
        connection.goaway(ANY, NO_ERROR).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        connection.reply(first).await;
        // A second request here would be counted as whole, and never be answered.
        while connection.request().await.is_some() {}
    })
    .await;
    let upstream = Arc::new(upstream());
    let post = move || {
        let upstream = Arc::clone(&upstream);
        async move { upstream.fetch(request(Method::POST, address, b"x")).await }
    };
    let first = tokio::spawn(post());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let others: Vec<_> = (0..5).map(|_| tokio::spawn(post())).collect();
    for other in others {
        assert_eq!(other.await.unwrap().unwrap().status, 204);
    }
    assert_eq!(first.await.unwrap().unwrap().status, 204);
    assert_eq!((log.whole(), log.answered()), (6, 6));
}

#[tokio::test]
async fn of_many_requests_on_one_connection_each_is_answered_once() {
    // As nginx with keepalive_requests: each connection takes a few streams and ignores those
    // above.
    let (address, log) = origin(|mut connection: Connection| async move {
        let mut left = 3;
        while let Some(stream) = connection.request().await {
            if left == 0 {
                continue;
            }
            left -= 1;
            if left == 0 {
                connection.goaway(stream, NO_ERROR).await;
            }
            connection.reply(stream).await;
        }
    })
    .await;
    let upstream = Arc::new(upstream());
    let posts: Vec<_> = (0..40)
        .map(|_| {
            let upstream = Arc::clone(&upstream);
            tokio::spawn(async move { upstream.fetch(request(Method::POST, address, b"x")).await })
        })
        .collect();
    for post in posts {
        assert_eq!(post.await.unwrap().unwrap().status, 204);
    }
    assert_eq!(log.answered(), 40);
    let retries: u64 = upstream
        .stats()
        .retries
        .iter()
        .map(|(_, count)| count)
        .sum();
    assert!(retries > 0);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_and_not_for_ever() {
    // On another connection if the first one goes on refusing.
    let (address, log) = origin(|mut connection: Connection| async move {
        while let Some(stream) = connection.request().await {
            match connection.number {
                1 => connection.reset(stream, REFUSED_STREAM).await,
                _ => connection.reply(stream).await,
            }
        }
    })
    .await;
    let post = request(Method::POST, address, b"x");
    let (reply, retries) = upstream().fetch_with_retries(post, &granting).await;
    assert_eq!(reply.unwrap().status, 204);
    assert_eq!(retries.count(), 2);
    assert_eq!((log.connections(), log.answered()), (2, 1));

    let (address, log) = origin(|mut connection: Connection| async move {
        while let Some(stream) = connection.request().await {
            connection.reset(stream, REFUSED_STREAM).await;
        }
    })
    .await;
    let result = upstream().fetch(request(Method::POST, address, b"x")).await;
    assert_fails(result, Failure::Reset, "refused stream");
    assert_eq!((log.connections(), log.whole()), (5, 17));

    // Within the deadline.
    let mut hasty = request(Method::POST, address, b"x");
    hasty.timeout = Duration::from_millis(100);
    let began = tokio::time::Instant::now();
    assert!(upstream().fetch(hasty).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn any_other_reset_may_follow_processing() {
    for reason in [
        INTERNAL_ERROR,
        NO_ERROR,
        8,  /* CANCEL */
        11, /* ENHANCE_YOUR_CALM */
    ] {
        let (address, log) = origin(move |mut connection: Connection| async move {
            while let Some(stream) = connection.request().await {
                connection.reset(stream, reason).await;
            }
        })
        .await;
        let result = upstream().fetch(request(Method::POST, address, b"x")).await;
        assert_fails(result, Failure::Reset, "localhost:");
        assert_eq!(log.whole(), 1, "reason {reason}");
    }
}

#[tokio::test]
async fn http_1_1_required_means_again_over_http_1_1() {
    for by_goaway in [false, true] {
        let (address, log) = origin(move |mut connection: Connection| async move {
            if !connection.is_http2() {
                return connection.serve_http1(OK).await;
            }
            while let Some(stream) = connection.request().await {
                match by_goaway {
                    true => connection.goaway(0, HTTP_1_1_REQUIRED).await,
                    false => connection.reset(stream, HTTP_1_1_REQUIRED).await,
                }
            }
        })
        .await;
        let post = request(Method::POST, address, b"x");
        let (reply, retries) = upstream().fetch_with_retries(post, &granting).await;
        assert_eq!(&*reply.unwrap().body, b"hello");
        assert_eq!(
            retries.to_string(),
            "sent again 1 time (http_1_1_required 1)"
        );
        assert_eq!((log.connections(), log.answered()), (2, 1));
    }
}

#[tokio::test]
async fn connection_close_ends_a_connection_and_loses_nothing() {
    let reply = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
    let origin = tokio::spawn(async move {
        let mut served = 0;
        while served < 20 {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            read_request(&mut tls).await.unwrap();
            tls.write_all(reply.as_bytes()).await.unwrap();
            served += 1;
            // The close follows late, so that a client which ignores the field would lose its
            // request.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop(tls);
            });
        }
    });
    let upstream = upstream();
    for _ in 0..20 {
        let result = upstream.fetch(request(Method::POST, address, b"x")).await;
        assert_eq!(&*result.unwrap().body, b"hello");
    }
    origin.await.unwrap();
}

/// An HTTP/1.1 origin that answers one request on its first connection. It closes that one at the
/// moment when the next request is on its way, `reads` octets of it having been read, and serves
/// all other connections.
async fn closes_between_requests(
    reads: bool,
) -> (std::net::SocketAddr, Arc<std::sync::Mutex<usize>>) {
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
    let served = Arc::new(std::sync::Mutex::new(0));
    let counted = Arc::clone(&served);
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((tcp, _)) = listener.accept().await {
            number += 1;
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            let mut tls = acceptor.accept(tcp).await.unwrap();
            let first = number == 1;
            tokio::spawn(async move {
                while read_request(&mut tls).await.is_some() {
                    *counted.lock().unwrap() += 1;
                    tls.write_all(OK.as_bytes()).await.unwrap();
                    tls.flush().await.unwrap();
                    if !first {
                        continue;
                    }
                    // The next request lies in the kernel, or has been read: then it may have been
                    // processed.
                    tls.get_ref().0.readable().await.unwrap();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if reads {
                        let _ = tls.read(&mut [0; 65536]).await;
                    }
                    let _ = tls.shutdown().await;
                    return;
                }
            });
        }
    });
    (address, served)
}

#[tokio::test]
async fn a_request_that_an_idle_connection_no_longer_took_is_sent_again() {
    let (address, served) = closes_between_requests(false).await;
    let upstream = upstream();
    let first = upstream.fetch(request(Method::POST, address, b"1")).await;
    assert!(first.is_ok());
    let second = request(Method::POST, address, b"2");
    let (second, retries) = upstream.fetch_with_retries(second, &granting).await;
    assert_eq!(&*second.unwrap().body, b"hello");
    assert_eq!(retries.to_string(), "sent again 1 time (closed_idle 1)");
    assert_eq!(*served.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_request_that_was_read_before_the_close_is_not_sent_again() {
    let (address, served) = closes_between_requests(true).await;
    let upstream = upstream();
    let first = upstream.fetch(request(Method::POST, address, b"1")).await;
    assert!(first.is_ok());
    let second = upstream.fetch(request(Method::POST, address, b"2")).await;
    assert_fails(second, Failure::Reset, "localhost:");
    assert_eq!(*served.lock().unwrap(), 1);
}

/// Memory for every reply.
/// `:status: 421` without a place in the table (RFC 7541 6.2.2): entry 8 has the name.
const MISDIRECTED: &[u8] = b"\x08\x03421";

#[tokio::test]
async fn a_misdirected_request_is_sent_again_over_another_connection_once() {
    for serves_http1 in [true, false] {
        let (address, log) = origin(move |mut connection: Connection| async move {
            if !connection.is_http2() {
                let reply = match serves_http1 {
                    true => "HTTP/1.1 204 No Content\r\n\r\n",
                    false => "HTTP/1.1 421 No\r\nContent-Length: 0\r\n\r\n",
                };
                return connection.serve_http1(reply).await;
            }
            while let Some(stream) = connection.request().await {
                connection
                    .send(HEADERS, END_HEADERS | END_STREAM, stream, MISDIRECTED)
                    .await;
            }
        })
        .await;
        let post = request(Method::POST, address, b"x");
        let (reply, retries) = upstream().fetch_with_retries(post, &granting).await;
        let status = if serves_http1 { 204 } else { 421 };
        assert_eq!(reply.unwrap().status, status);
        assert_eq!(retries.to_string(), "sent again 1 time (misdirected 1)");
        assert_eq!((log.connections(), log.whole()), (2, 2));
    }
}

#[tokio::test]
async fn a_misdirected_request_without_another_connection_gets_its_421() {
    let (listener, address) = listen().await;
    let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut tls = acceptor.accept(tcp).await.unwrap();
        read_request(&mut tls).await.unwrap();
        let reply = "HTTP/1.1 421 Misdirected\r\nContent-Length: 0\r\n\r\n";
        tls.write_all(reply.as_bytes()).await.unwrap();
        let _ = tls.read(&mut [0; 1]).await;
    });
    let reply = upstream().fetch(request(Method::POST, address, b"x")).await;
    assert_eq!(reply.unwrap().status, 421);
}

#[tokio::test]
async fn a_408_on_a_kept_connection_is_repeated_if_that_is_harmless() {
    for (method, kept, status, requests) in [
        (Method::GET, true, 200, 3),
        (Method::POST, true, 408, 2),
        (Method::GET, false, 408, 1),
    ] {
        let (listener, address) = listen().await;
        let acceptor = acceptor(Certificate::Good, &[b"http/1.1"]);
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        tokio::spawn(async move {
            let mut replies = vec![OK; 2];
            let late = "HTTP/1.1 408 Late\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            replies.insert(usize::from(kept), late);
            let mut replies = replies.into_iter();
            while let Ok((tcp, _)) = listener.accept().await {
                let mut tls = acceptor.accept(tcp).await.unwrap();
                while read_request(&mut tls).await.is_some() {
                    seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let reply = replies.next().unwrap();
                    tls.write_all(reply.as_bytes()).await.unwrap();
                    tls.flush().await.unwrap();
                    if reply == late {
                        break;
                    }
                }
            }
        });
        let upstream = upstream();
        if kept {
            let first = upstream.fetch(request(Method::GET, address, b"")).await;
            assert_eq!(first.unwrap().status, 200);
        }
        let reply = upstream.fetch(request(method.clone(), address, b"")).await;
        assert_eq!(reply.unwrap().status, status, "{method}");
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), requests);
    }
}

fn granting(_: usize) -> oneshot::Receiver<bool> {
    let (answer, granted) = oneshot::channel();
    answer.send(true).unwrap();
    granted
}
