//! `wapbridge top`: the live figures of a running gateway.

mod errors;
mod exposition;
mod figures;
mod frame;
mod line;
mod quantiles;
mod rates;
mod reading;
mod screen;
mod words;

use std::io::{self, Write, stdout};
use std::time::Duration;

use clap::Args;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at};

use super::remote::Gateway;
use crate::config::duration;
use figures::Figures;
use reading::Feed;
use screen::Screen;

/// Show the live figures of a running gateway
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Top {
    #[command(flatten)]
    gateway: Gateway,
    /// What each frame's rates and latencies are about, from 1s to 1h
    #[arg(long, short, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Print one frame and end; so it is where output is no terminal
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// Print so many frames, one below the other, and end
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// For machines: a JSON object a line, for each interval, without end unless --once or --count says so
    #[arg(long)]
    json: bool,
}

impl Top {
    /// Runs until there are enough frames, or somebody has seen enough.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let is_print = self.once || self.count.is_some() || self.json;
        runtime.block_on(async {
            if is_print || !screen::is_interactive() {
                self.print().await
            } else {
                self.draw().await
            }
        })
    }

    /// Plain frames. What has an end fails with the gateway; what has none waits for it.
    async fn print(&self) -> anyhow::Result<()> {
        let remote = self.gateway.remote()?;
        let name = remote.name().to_string();
        let mut feed = Feed::new(remote);
        feed.next().await?;
        let frames = match self.count {
            Some(count) => Some(count),
            None if self.json && !self.once => None,
            None => Some(1),
        };
        let mut shown = 0;
        let mut ticks = self.ticks();
        while frames.is_none_or(|frames| shown < frames) {
            ticks.tick().await;
            let figures = match feed.next().await {
                Ok(figures) => figures,
                Err(error) if frames.is_none() => {
                    eprintln!("error: {error:#}; trying again");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let text = if self.json {
                serde_json::to_string(&figures)? + "\n"
            } else {
                plain(&figures, &name, shown > 0)
            };
            shown += 1;
            let mut stdout = stdout().lock();
            match stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
            {
                // Whoever reads us has seen enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                done => done?,
            }
        }
        Ok(())
    }

    /// One frame over the other, until somebody ends it.
    async fn draw(&self) -> anyhow::Result<()> {
        let remote = self.gateway.remote()?;
        let name = remote.name().to_string();
        let mut ends = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        let [interrupt, terminate, hangup] = &mut ends;
        let mut resized = signal(SignalKind::window_change())?;
        let mut stopped = signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?;
        let screen = Screen::enter()?;
        let mut keys = screen::keys();
        let mut news = self.watch(Feed::new(remote));
        let (mut figures, mut trouble) = (None, None);
        loop {
            tokio::select! {
                new = news.recv() => match new {
                    Some(Ok(new)) => (figures, trouble) = (Some(new), None),
                    Some(Err(error)) => trouble = Some(format!("{error:#}")),
                    None => return Ok(()),
                },
                Some(key) = keys.recv() => match key {
                    b'q' | b'Q' => return Ok(()),
                    _ => continue,
                },
                _ = resized.recv() => {}
                _ = stopped.recv() => {
                    screen.lend()?;
                    kill_process(getpid(), Signal::STOP)?;
                    screen.take()?;
                }
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
            }
            let size = screen::size();
            let lines = match (&trouble, &figures) {
                (Some(trouble), known) => frame::troubled(trouble, known.as_ref(), &name, size),
                (None, Some(known)) => frame::frame(known, &name, size),
                (None, None) => continue,
            };
            screen.show(&lines, size)?;
        }
    }

    /// Figures, or why there are none, once an interval.
    fn watch(&self, mut feed: Feed) -> mpsc::Receiver<anyhow::Result<Figures>> {
        let (tell, news) = mpsc::channel(1);
        let mut ticks = self.ticks();
        tokio::spawn(async move {
            // The first ones, without rates, are better than a blank screen.
            while tell.send(feed.next().await).await.is_ok() {
                ticks.tick().await;
            }
        });
        news
    }

    fn ticks(&self) -> tokio::time::Interval {
        let first = tokio::time::Instant::now() + self.interval;
        let mut ticks = interval_at(first, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

/// A frame that stays, without colours.
fn plain(figures: &Figures, gateway: &str, is_further: bool) -> String {
    let size = frame::Size {
        height: usize::MAX,
        ..screen::size()
    };
    let mut text = String::new();
    if is_further {
        text.push('\n');
    }
    for line in frame::frame(figures, gateway, size) {
        text.push_str(&line.render(size.width, false));
        text.push('\n');
    }
    text
}

/// Shards show what they counted once a second, so shorter ones tell nothing.
fn interval(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    duration(text)
        .filter(|interval| range.contains(interval))
        .ok_or_else(|| "expected 1s to 1h; the units are ms, s, m and h".to_owned())
}

const EXAMPLES: &str = "\
Rates are per second; they and the latencies are about the last interval. Latencies are read off the buckets of
wapbridge_exchange_duration_seconds, so they are as fine as those. An exchange is a handset's request, mostly a POST, from
its first packet to its last acknowledgement. On a terminal the figures are drawn in place: q or Ctrl-C ends it, and a
gateway that does not answer is asked again. NO_COLOR is respected.

Exit status:
  0  all frames are printed, or somebody ended it
  1  the gateway does not answer; why is on standard error

Examples:
  wapbridge top
  wapbridge top --once
  wapbridge top --admin http://10.0.0.5:9280 --token-file /etc/wapbridge/token --interval 10s
  wapbridge top --json --interval 1m | jq -c '[.at, .exchanges.per_second, .exchanges.latency_seconds.p99]'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_neither_too_short_nor_too_long() {
        assert_eq!(interval("1500ms"), Ok(Duration::from_millis(1500)));
        for wrong in ["500ms", "2", "2h", "-1s", ""] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
