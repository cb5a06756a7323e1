//! A thread with a bounded queue of messages.
//!
//! The access log, the charging records, the store and the claims between shards have one such
//! thread each. Shards send to it through a [`Handle`] and never wait: a message that finds the
//! queue full comes back, and its sender counts it. The owner holds the [`Worker`]; dropping it
//! stops the thread once all earlier messages are handled.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The owner's side. Dropping it stops the thread and waits for its end.
#[derive(Debug)]
pub struct Worker<M> {
    handle: Handle<M>,
    /// Closed by the thread when it ends.
    ended: Receiver<()>,
    /// Time to wait for the end of the thread. `None`: without limit.
    patience: Option<Duration>,
    thread: Option<JoinHandle<()>>,
}

/// The senders' side. Clones send to the same thread.
#[derive(Debug)]
pub struct Handle<M> {
    queue: Sender<Envelope<M>>,
    load: Arc<AtomicUsize>,
    capacity: usize,
}

/// The thread's side: messages in the order in which they were sent.
#[derive(Debug)]
pub struct Inbox<M> {
    queue: Receiver<Envelope<M>>,
    load: Arc<AtomicUsize>,
}

/// A result of the thread's inbox.
#[derive(Debug)]
pub enum Received<M> {
    /// A message, and the room it takes in the queue until its [`Load`] is dropped.
    Message(M, Load),
    /// No message came in time.
    Idle,
    /// The worker was dropped. All earlier messages have been handled.
    Stop,
}

/// Room taken in a queue. It is free again when this is dropped.
#[derive(Debug, Default)]
pub struct Load {
    weight: usize,
    queue: Option<Arc<AtomicUsize>>,
}

/// A message that was not sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsent<M> {
    /// The queue has no room for its weight.
    Full(M),
    /// The thread has ended.
    Ended(M),
}

#[derive(Debug)]
enum Envelope<M> {
    Message(M, usize),
    Stop,
}

/// A queue of `capacity`, in the unit in which its senders weigh messages: octets, or one for each
/// message.
#[must_use]
pub fn queue<M>(capacity: usize) -> (Handle<M>, Inbox<M>) {
    let (sender, receiver) = mpsc::channel();
    let load = Arc::new(AtomicUsize::new(0));
    let handle = Handle {
        queue: sender,
        load: Arc::clone(&load),
        capacity,
    };
    let queue = receiver;
    (handle, Inbox { queue, load })
}

impl<M: Send + 'static> Worker<M> {
    /// Starts a thread of this name, which has to return when its inbox says [`Received::Stop`].
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(
        name: &str,
        (handle, inbox): (Handle<M>, Inbox<M>),
        run: impl FnOnce(Inbox<M>) + Send + 'static,
    ) -> io::Result<Self> {
        let (alive, ended) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Dropped when the thread ends, also by a panic.
                let _alive = alive;
                run(inbox);
            })?;
        Ok(Self {
            handle,
            ended,
            patience: None,
            thread: Some(thread),
        })
    }

    /// Sets the time to wait for the end of a thread that may be blocked for ever.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

impl<M> Worker<M> {
    /// A sender's side.
    #[must_use]
    pub fn handle(&self) -> Handle<M> {
        self.handle.clone()
    }
}

impl<M> Drop for Worker<M> {
    fn drop(&mut self) {
        // Fails when the thread has ended already.
        let _ = self.handle.queue.send(Envelope::Stop);
        let timed_out = self.patience.is_some_and(|patience| {
            self.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout)
        });
        if !timed_out && let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl<M> Handle<M> {
    /// Sends a message, and never waits.
    ///
    /// # Errors
    /// The message, and the reason why it was not sent.
    pub fn try_send(&self, message: M, weight: usize) -> Result<(), Unsent<M>> {
        let before = self.load.fetch_add(weight, Ordering::Relaxed);
        if before.saturating_add(weight) > self.capacity {
            self.load.fetch_sub(weight, Ordering::Relaxed);
            return Err(Unsent::Full(message));
        }
        match self.queue.send(Envelope::Message(message, weight)) {
            Ok(()) => Ok(()),
            Err(mpsc::SendError(Envelope::Message(message, weight))) => {
                self.load.fetch_sub(weight, Ordering::Relaxed);
                Err(Unsent::Ended(message))
            }
            Err(mpsc::SendError(Envelope::Stop)) => Ok(()),
        }
    }

    /// Sends a message that takes no room: a command of the owner, or a request whose sender waits
    /// for the answer. The sender bounds their number.
    pub fn send(&self, message: M) {
        // Fails when the thread has ended; no caller waits then.
        let _ = self.queue.send(Envelope::Message(message, 0));
    }

    /// The room in use.
    #[must_use]
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }
}

impl<M> Unsent<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Ended(message) => message,
        }
    }
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            load: Arc::clone(&self.load),
            capacity: self.capacity,
        }
    }
}

impl<M> Inbox<M> {
    /// The next message. Waits for it.
    #[must_use]
    pub fn recv(&self) -> Received<M> {
        match self.queue.recv() {
            Ok(envelope) => self.open(envelope),
            Err(mpsc::RecvError) => Received::Stop,
        }
    }

    /// The next message. Waits for it, but not longer than `patience`.
    #[must_use]
    pub fn recv_timeout(&self, patience: Duration) -> Received<M> {
        match self.queue.recv_timeout(patience) {
            Ok(envelope) => self.open(envelope),
            Err(RecvTimeoutError::Timeout) => Received::Idle,
            Err(RecvTimeoutError::Disconnected) => Received::Stop,
        }
    }

    /// The next message, if there is one already.
    #[must_use]
    pub fn try_recv(&self) -> Received<M> {
        match self.queue.try_recv() {
            Ok(envelope) => self.open(envelope),
            Err(TryRecvError::Empty) => Received::Idle,
            Err(TryRecvError::Disconnected) => Received::Stop,
        }
    }

    fn open(&self, envelope: Envelope<M>) -> Received<M> {
        match envelope {
            Envelope::Message(message, weight) => {
                let queue = (weight > 0).then(|| Arc::clone(&self.load));
                Received::Message(message, Load { weight, queue })
            }
            Envelope::Stop => Received::Stop,
        }
    }
}

impl Load {
    /// Takes over the room of another message of the same queue.
    pub fn absorb(&mut self, mut other: Self) {
        self.weight += other.weight;
        other.weight = 0;
        if self.queue.is_none() {
            self.queue = other.queue.take();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.fetch_sub(self.weight, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<M>(received: Received<M>) -> M {
        match received {
            Received::Message(message, _) => message,
            Received::Idle | Received::Stop => panic!("no message"),
        }
    }

    #[test]
    fn a_full_queue_gives_the_message_back_until_its_load_is_dropped() {
        let (handle, inbox) = queue(10);
        assert_eq!(handle.try_send("a", 6), Ok(()));
        assert_eq!(handle.try_send("b", 5), Err(Unsent::Full("b")));
        assert_eq!(handle.try_send("c", 4), Ok(()));
        handle.send("d");
        assert_eq!(handle.load(), 10);
        let mut held = Load::default();
        let Received::Message("a", load) = inbox.recv() else {
            panic!("no message");
        };
        held.absorb(load);
        let Received::Message("c", load) = inbox.recv() else {
            panic!("no message");
        };
        held.absorb(load);
        assert_eq!(
            handle.try_send("e", 1),
            Err(Unsent::Full("e")),
            "held by the thread"
        );
        drop(held);
        assert_eq!(handle.load(), 0);
        assert_eq!(handle.try_send("f", 10), Ok(()));
        assert_eq!([message(inbox.recv()), message(inbox.recv())], ["d", "f"]);
        assert!(matches!(inbox.try_recv(), Received::Idle));
    }

    #[test]
    fn a_dropped_worker_has_handled_earlier_messages() {
        let (tell, done) = mpsc::channel();
        let worker = Worker::start("test", queue(1_000), move |inbox| {
            while let Received::Message(number, _) = inbox.recv() {
                tell.send(number).unwrap();
            }
        })
        .unwrap();
        let handle = worker.handle();
        for number in 0..1_000 {
            assert_eq!(handle.try_send(number, 1), Ok(()));
        }
        drop(worker);
        assert_eq!(
            done.iter().collect::<Vec<i32>>(),
            (0..1_000).collect::<Vec<_>>()
        );
        assert_eq!(
            handle.try_send(1, 1),
            Err(Unsent::Ended(1)),
            "the thread has ended"
        );
        assert_eq!(handle.load(), 0);
    }

    #[test]
    fn a_blocked_thread_is_left_to_itself() {
        let (release, blocked) = mpsc::channel::<()>();
        let worker = Worker::<()>::start("test", queue(1), move |_| {
            let _ = blocked.recv();
        })
        .unwrap()
        .with_patience(Duration::from_millis(20));
        drop(worker);
        drop(release);
    }
}
