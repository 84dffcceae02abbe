"""Sends twenty messages at once with aiosmtplib, under STARTTLS."""
import asyncio
import ssl
import sys
from email.message import EmailMessage

import aiosmtplib

port = int(sys.argv[1])
any_certificate = ssl.create_default_context()
any_certificate.check_hostname = False
any_certificate.verify_mode = ssl.CERT_NONE


async def send(number):
    message = EmailMessage()
    message["From"], message["To"] = "bob@submit.test", "aio@submit.test"
    message["Subject"] = f"aiosmtplib {number}"
    message.set_content("é" * 200)
    await aiosmtplib.send(message, hostname="127.0.0.1", port=port, start_tls=True, tls_context=any_certificate, timeout=20)


async def main():
    await asyncio.gather(*(send(number) for number in range(20)))


asyncio.run(main())
print("sent 20")
