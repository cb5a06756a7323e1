//! `wapbridge top`: the live figures of a running gateway.

mod errors;
mod exposition;
mod feed;
mod quantiles;
mod rates;
mod reading;
mod rows;
mod snapshot;
mod view;

use std::io::{self, Write, stdout};
use std::time::Duration;

use clap::Args;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::Widget;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at};

use super::admin_client::AdminArgs;
use super::screen;
use super::screen::terminal::{self, Input, Screen, Stream};
use crate::config::duration;
use crate::printable;
use feed::Feed;
use snapshot::Snapshot;
use view::{Outage, View};

/// Show the live figures of a running gateway
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Top {
    #[command(flatten)]
    gateway: AdminArgs,
    /// The interval of rates and latencies, from 1s to 1h
    #[arg(long, short, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Print one frame and end; the default if the output is no terminal
    #[arg(long, conflicts_with = "count")]
    once: bool,
    /// Print this number of frames, one below the other, and end
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print JSON: one object a line for each interval, without end unless --once or --count is
    /// given
    #[arg(long)]
    json: bool,
}

impl Top {
    /// Runs until the frames are printed, or a key ends it.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let is_print = self.once || self.count.is_some() || self.json;
        runtime.block_on(async {
            if is_print || !Stream::Output.is_interactive() {
                self.print().await
            } else {
                self.draw().await
            }
        })
    }

    /// Prints plain frames. With a number of frames a missing gateway is an error; without one the
    /// command waits.
    async fn print(&self) -> anyhow::Result<()> {
        let admin = self.gateway.client()?;
        let name = admin.name().to_string();
        let mut feed = Feed::new(admin);
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
            let snapshot = match feed.next().await {
                Ok(snapshot) => snapshot,
                Err(error) if frames.is_none() => {
                    let error = format!("{error:#}");
                    eprintln!("error: {}; trying again", printable::line(&error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let text = if self.json {
                printable::json(&serde_json::to_string(&snapshot)?).into_owned() + "\n"
            } else {
                plain(&snapshot, &name, shown > 0)
            };
            shown += 1;
            let mut stdout = stdout().lock();
            match stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush())
            {
                // The reader has closed the pipe.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
                done => done?,
            }
        }
        Ok(())
    }

    /// Draws each frame over the last one, until a key ends it.
    async fn draw(&self) -> anyhow::Result<()> {
        let admin = self.gateway.client()?;
        let name = admin.name().to_string();
        let mut inputs = terminal::inputs(true)?;
        let mut screen = Screen::enter(Stream::Output)?;
        let mut news = self.watch(Feed::new(admin));
        let (mut snapshot, mut error) = (None, None);
        loop {
            tokio::select! {
                new = news.recv() => match new {
                    Some(Ok(new)) => (snapshot, error) = (Some(new), None),
                    Some(Err(new)) => error = Some(format!("{new:#}")),
                    None => return Ok(()),
                },
                Some(input) = inputs.recv() => match input {
                    Input::Quit => return Ok(()),
                    Input::Suspend => screen.suspend()?,
                    Input::Resize => {}
                },
            }
            match (&error, &snapshot) {
                (Some(error), snapshot) => screen.draw(Outage {
                    error,
                    snapshot: snapshot.as_ref(),
                    gateway: &name,
                })?,
                (None, Some(snapshot)) => {
                    screen.draw(View::new(snapshot, &name, terminal::columns()))?;
                }
                (None, None) => {}
            }
        }
    }

    /// Figures or an error, once an interval.
    fn watch(&self, mut feed: Feed) -> mpsc::Receiver<anyhow::Result<Snapshot>> {
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
fn plain(snapshot: &Snapshot, gateway: &str, is_further: bool) -> String {
    let columns = terminal::columns();
    let view = View::new(snapshot, gateway, columns);
    let mut buf = Buffer::empty(Rect::new(0, 0, columns, view.rows()));
    view.render(buf.area, &mut buf);
    let separator = if is_further { "\n" } else { "" };
    separator.to_owned() + &screen::plain(&buf)
}

/// Shards publish their counters once a second, so shorter intervals have no figures.
fn interval(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    duration(text)
        .filter(|interval| range.contains(interval))
        .ok_or_else(|| "expected 1s to 1h; the units are ms, s, m and h".to_owned())
}

const EXAMPLES: &str = "\
Rates are per second. Rates and latencies cover the last interval. Latencies come from the \
buckets of wapbridge_exchange_duration_seconds and have their resolution. An exchange is one \
request of a handset, from its first packet to the last acknowledgement of its reply.

On a terminal the figures are redrawn in place; q or Ctrl-C ends the command. A gateway that \
does not answer is asked again. NO_COLOR is respected.

Exit status:
  0  all frames are printed, or a key ended the command
  1  the gateway does not answer; standard error has the reason

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
