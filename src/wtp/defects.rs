//! The mistakes that the searches plant in the state machines.

use crate::defect::Defect;

/// A group is acknowledged when its trailer comes, holes or not.
pub(super) const ACK_OVER_HOLE: Defect =
    Defect("a group is acknowledged when its trailer comes, holes or not");

/// A verified old TID becomes the last one.
pub(super) const LAST_TID_MOVES_BACK: Defect = Defect("a verified old TID becomes the last one");
