//! A mail server: it speaks as much SMTP as is needed to take mails, or refuses them.
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::eventually;

/// A mail that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) to: String,
    /// Headers and text, as they were sent, with long lines put together again.
    pub(crate) text: String,
}

impl Letter {
    /// The token in its link.
    pub(crate) fn token(&self) -> String {
        let at = self.text.find("violet_mail_").expect("there is a link");
        self.text[at..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    }
}

pub(crate) struct PostOffice {
    pub(crate) url: String,
    letters: Arc<Mutex<Vec<Letter>>>,
    closed: Arc<AtomicBool>,
    serving: JoinHandle<()>,
}

impl PostOffice {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let letters = Arc::new(Mutex::new(Vec::new()));
        let closed = Arc::new(AtomicBool::new(false));
        let (kept, refuses) = (Arc::clone(&letters), Arc::clone(&closed));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // One after the other: nobody else writes here.
                let _ = converse(stream, &kept, &refuses).await;
            }
        });
        Self {
            url: format!("smtp://{address}"),
            letters,
            closed,
            serving,
        }
    }

    /// Refuses mails, for now.
    pub(crate) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().expect("nobody panicked with it").clone()
    }

    /// Waits for the letter number `number` (from 1) to this address.
    pub(crate) async fn letter(&self, to: &str, number: usize) -> Letter {
        eventually(&format!("letter {number} to {to} arrives"), || async {
            let all = self.letters();
            all.into_iter().filter(|letter| letter.to == to).nth(number - 1)
        })
        .await
    }
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn converse(
    stream: TcpStream,
    letters: &Mutex<Vec<Letter>>,
    closed: &AtomicBool,
) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 post.example.org\r\n").await?;
    let mut to = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer = match verb.as_str() {
            "EHLO" | "HELO" => "250 post.example.org",
            "MAIL" if closed.load(Ordering::Relaxed) => "451 come back later",
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                "250 well"
            }
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    // Quoted-printable breaks long lines with a =.
                    match line.strip_suffix('=') {
                        Some(part) => text.push_str(part),
                        None => text.push_str(&(line + "\n")),
                    }
                }
                let letter = Letter { to: to.clone(), text };
                letters.lock().expect("nobody panicked with it").push(letter);
                "250 taken"
            }
            "QUIT" => {
                writing.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 well",
        };
        writing.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
