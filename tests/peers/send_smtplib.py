"""Sends three messages with Python's smtplib: in clear, under STARTTLS, and with AUTH PLAIN under TLS."""
import smtplib
import ssl
import sys
from email.message import EmailMessage

port, submission, user, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
any_certificate = ssl.create_default_context()
any_certificate.check_hostname = False
any_certificate.verify_mode = ssl.CERT_NONE


def letter(subject, to):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "bob@submit.test", to, subject
    message.set_content("A line.\n.\n..two dots\nlast line\n")
    return message


with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
    refused = client.send_message(letter("smtplib clear", "clear@submit.test"), "bob@submit.test", ["clear@submit.test"])
    assert refused == {}, refused
with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
    client.starttls(context=any_certificate)
    client.send_message(letter("smtplib tls", "tls@submit.test"), "bob@submit.test", ["tls@submit.test"])
with smtplib.SMTP("127.0.0.1", submission, timeout=20) as client:
    client.starttls(context=any_certificate)
    client.login(user, password)
    client.send_message(letter("smtplib auth", "auth@submit.test"), "bob@submit.test", ["auth@submit.test"])
    try:
        client.sendmail("bob@submit.test", ["x@"], b"Subject: x\r\n\r\n")
        raise SystemExit("a broken address was accepted")
    except smtplib.SMTPRecipientsRefused as error:
        assert 500 <= error.recipients["x@"][0] < 600, error.recipients
print("sent 3")
