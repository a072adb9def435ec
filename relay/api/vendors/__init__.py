"""The HTTP forms of mail services: requests of their clients become messages of the API, and answers have their forms.

An application that sends by the API of Mailgun, SendGrid or Postmark needs another base URL and key only.
"""
