//! The mistakes that the search plants.

use crate::defect::Defect;

/// Every record is new, however often the record comes.
pub(super) const NO_WINDOW: Defect = Defect("every record is new, however often the record comes");

/// A client's flight that comes again gets no answer.
pub(super) const ANSWER_FORGOTTEN: Defect =
    Defect("a client's flight that comes again gets no answer");

/// A ClientHello ends the connection there is.
pub(super) const HELLO_ENDS_CONNECTION: Defect =
    Defect("a ClientHello ends the connection there is");

/// A ClientHello that comes again begins another handshake.
pub(super) const HELLO_FORGOTTEN: Defect =
    Defect("a ClientHello that comes again begins another handshake");
