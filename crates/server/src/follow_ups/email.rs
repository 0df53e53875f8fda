//! E-mail, by the organisation's mail server (RFC 5321).
//!
//! The steps of the exchange are taken one by one, and not by a transport that does it all: only so it is known whether the
//! text was given away when something failed.

use std::time::Duration;

use lettre::Address;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use sotto_store::FollowUpRow;
use tokio::time::timeout;

use super::Outcome;
use super::config::{EmailConfig, MailTls};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How long the end of the conversation is waited for, when the message was taken.
const GOODBYE: Duration = Duration::from_secs(5);

/// A mail server, and who writes.
pub(super) struct Mailer {
    config: EmailConfig,
    from: Mailbox,
    hello: ClientId,
}

impl Mailer {
    pub fn new(config: &EmailConfig) -> Result<Self, String> {
        let from: Mailbox = config.from.parse().map_err(|_| {
            format!("`from`: `{}` is no address like Harper <hello@harper.example>", config.from)
        })?;
        if config.tls == MailTls::Off && !config.password.is_empty() {
            return Err("a password is not sent without `tls`".to_owned());
        }
        let hello = ClientId::Domain(from.email.domain().to_owned());
        Ok(Self { config: config.clone(), from, hello })
    }

    pub async fn send(&self, row: &FollowUpRow, patience: Duration) -> Outcome {
        let (to, mail) = match self.mail(row) {
            Ok(mail) => mail,
            Err(why) => return Outcome::Refused(why),
        };
        let mut is_given = false;
        let handed_over = timeout(patience, self.hand_over(to, &mail, &mut is_given)).await;
        match handed_over {
            Ok(Ok((receipt, mut connection))) => {
                let _ = timeout(GOODBYE, connection.quit()).await;
                Outcome::Sent(receipt)
            }
            Ok(Err(error)) if error.is_permanent() => Outcome::Refused(error.to_string()),
            // An answer of 4xx or 5xx says that the server has not taken the mail, also after its text (RFC 5321, sections 4.2.1
            // and 6.1); without one that is known only before the text was given away.
            Ok(Err(error)) if error.is_transient() || !is_given => Outcome::Again(error.to_string(), None),
            Ok(Err(error)) => Outcome::Unknown(error.to_string()),
            Err(_) if is_given => {
                Outcome::Unknown("the mail server gave no answer to the message".to_owned())
            }
            Err(_) => Outcome::Again("the mail server took too long".to_owned(), None),
        }
    }

    /// The message as it travels, and to whom. Mail programs that get it twice know it by its id.
    fn mail(&self, row: &FollowUpRow) -> Result<(Address, Vec<u8>), String> {
        let to = row.message.to.as_deref().unwrap_or_default();
        // Few servers take others (RFC 6531).
        let to = to.is_ascii().then(|| to.parse::<Address>().ok()).flatten();
        let to = to.ok_or("the address is none that mail can be sent to")?;
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(row.message.subject.clone().unwrap_or_default())
            .message_id(Some(format!("<{}@{}>", row.key, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(row.message.text.replace('\n', "\r\n"))
            .map_err(|error| error.to_string())?;
        Ok((to, mail.formatted()))
    }

    /// Hands a message over, and says what the server calls it. `is_given` is true from when its text is on its way.
    async fn hand_over(
        &self,
        to: Address,
        mail: &[u8],
        is_given: &mut bool,
    ) -> Result<(Option<String>, AsyncSmtpConnection), smtp::Error> {
        let EmailConfig { host, port, tls, user, password, .. } = &self.config;
        let encryption = || TlsParameters::new_rustls(host.clone());
        let from_the_start = if *tls == MailTls::Tls { Some(encryption()?) } else { None };
        let server = (host.as_str(), *port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, from_the_start, None);
        let mut connection = connecting.await?;
        if *tls == MailTls::Starttls {
            connection.starttls(encryption()?, &self.hello).await?;
        }
        if !user.is_empty() {
            let account = Credentials::new(user.clone(), password.clone());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &account).await?;
        }
        connection.command(Mail::new(Some(self.from.email.clone()), Vec::new())).await?;
        connection.command(Rcpt::new(to, Vec::new())).await?;
        connection.command(Data).await?;
        *is_given = true;
        let answer = connection.message(mail).await?;
        let receipt = answer.first_line().map(str::to_owned).filter(|line| !line.is_empty());
        Ok((receipt, connection))
    }
}
