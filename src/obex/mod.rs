//! OBEX (IrDA Object Exchange 1.3), as far as the OBEX binding of SyncML and IrMC need it: the side
//! of the server, without I/O.
//!
//! A client connects with a target, such as `SYNCML-SYNC`, puts a message, and gets the answer.
//! [`packet`] has the octets, [`session`] the rules.

pub mod packet;
pub mod session;
