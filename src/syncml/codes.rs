//! Names of Status and Alert codes (SyncML representation, chapter 10; SyncML synchronization,
//! Alert codes; device management, chapter 8).

/// The meaning of a status code, in a few words.
#[must_use]
pub const fn status(code: u16) -> Option<&'static str> {
    Some(match code {
        101 => "in progress",
        200 => "OK",
        201 => "item added",
        202 => "accepted for processing",
        203 => "non-authoritative response",
        204 => "no content",
        205 => "reset content",
        206 => "partial content",
        207 => "conflict resolved with merge",
        208 => "conflict resolved, the client's data won",
        209 => "conflict resolved with a duplicate",
        210 => "deleted without archive",
        211 => "item not deleted: it was not there",
        212 => "authenticated for the session",
        213 => "chunk accepted, more to come",
        214 => "operation cancelled",
        215 => "not executed",
        216 => "atomic rolled back",
        300 => "multiple choices",
        301 => "moved permanently",
        302 => "found elsewhere",
        303 => "see other",
        304 => "not modified",
        305 => "use a proxy",
        400 => "bad request",
        401 => "invalid credentials",
        402 => "payment needed",
        403 => "forbidden",
        404 => "not found",
        405 => "command not allowed",
        406 => "optional feature not supported",
        407 => "missing credentials",
        408 => "request timed out",
        409 => "conflict",
        410 => "gone",
        411 => "size required",
        412 => "incomplete command",
        413 => "too large",
        414 => "URI too long",
        415 => "unsupported type or format",
        416 => "requested size too big",
        417 => "retry later",
        418 => "already exists",
        419 => "conflict resolved, the server's data won",
        420 => "device full",
        421 => "unknown search grammar",
        422 => "bad CGI script",
        423 => "soft delete conflict",
        424 => "size mismatch",
        425 => "permission denied",
        426 => "partial item not accepted",
        427 => "item not empty",
        428 => "move failed",
        500 => "command failed",
        501 => "not implemented",
        502 => "bad gateway",
        503 => "service unavailable",
        504 => "gateway timeout",
        505 => "version not supported",
        506 => "processing error",
        507 => "atomic failed",
        508 => "refresh required: slow synchronization",
        509 => "reserved",
        510 => "data store failure",
        511 => "server failure",
        512 => "synchronization failed",
        513 => "protocol version not supported",
        514 => "operation cancelled",
        516 => "atomic roll back failed",
        517 => "atomic response too large",
        _ => return None,
    })
}

/// The request of an alert code, in a few words.
#[must_use]
pub const fn alert(code: u16) -> Option<&'static str> {
    Some(match code {
        100 => "display",
        101 => "confirm or reject",
        102 => "text input",
        103 => "single choice",
        104 => "multiple choice",
        200 => "two-way synchronization",
        201 => "slow synchronization",
        202 => "one-way from the client",
        203 => "refresh from the client",
        204 => "one-way from the server",
        205 => "refresh from the server",
        206 => "two-way, by the server",
        207 => "one-way from the client, by the server",
        208 => "refresh from the client, by the server",
        209 => "one-way from the server, by the server",
        210 => "refresh from the server, by the server",
        221 => "results wanted",
        222 => "next message",
        223 => "no end of data",
        224 => "suspend",
        225 => "resume",
        1100 => "display",
        1101 => "confirmation",
        1102 => "user input",
        1103 => "single choice",
        1104 => "multiple choice",
        1200 => "session started by the server",
        1201 => "session started by the client",
        1222 => "next message",
        1223 => "session abort",
        1224 => "client event",
        1225 => "no end of data",
        1226 => "generic alert",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_names_of_the_specification() {
        assert_eq!(status(212), Some("authenticated for the session"));
        assert_eq!(status(407), Some("missing credentials"));
        assert_eq!(status(999), None);
        assert_eq!(alert(201), Some("slow synchronization"));
        assert_eq!(alert(1201), Some("session started by the client"));
        assert_eq!(alert(199), None);
    }
}
