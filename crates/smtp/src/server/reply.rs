//! What the session says by itself (RFC 5321 4.2, RFC 3463).

use mail::{Enhanced, Reply};

macro_rules! replies {
    ($($name:ident = $code:literal $class:literal.$subject:literal.$detail:literal $text:literal;)*) => {
        $(pub(super) const $name: Reply = Reply::new($code, Enhanced::new($class, $subject, $detail), $text);)*
    };
}

replies! {
    BYE = 221 2 . 0 . 0 "closing connection";
    OK = 250 2 . 0 . 0 "ok";
    SENDER_OK = 250 2 . 1 . 0 "sender ok";
    RECIPIENT_OK = 250 2 . 1 . 5 "recipient ok";
    HELP = 214 2 . 0 . 0 "see RFC 5321";
    VRFY = 252 2 . 5 . 0 "cannot verify, send some mail and it will be tried";
    TLS_READY = 220 2 . 0 . 0 "ready to start TLS";
    AUTHENTICATED = 235 2 . 7 . 0 "authentication succeeded";

    TOO_MANY_ERRORS = 421 4 . 7 . 0 "too many errors, closing connection";
    TOO_MANY_MESSAGES = 421 4 . 7 . 0 "too many messages in this session, open another one";
    NOT_IN_CUSTODY = 451 4 . 3 . 0 "local error, message not accepted";
    TOO_MANY_RECIPIENTS = 452 4 . 5 . 3 "too many recipients";

    BARE_IN_COMMAND = 500 5 . 5 . 2 "syntax error: a line ends in CRLF, no CR or LF stands alone";
    LINE_TOO_LONG = 500 5 . 5 . 2 "line too long";
    NOT_TEXT = 500 5 . 5 . 2 "syntax error: control characters or broken UTF-8";
    UNKNOWN_COMMAND = 500 5 . 5 . 1 "command unrecognized";
    NO_HELO_IN_LMTP = 500 5 . 5 . 1 "this is LMTP: say LHLO";
    NO_LHLO_IN_SMTP = 500 5 . 5 . 1 "this is SMTP: say EHLO";
    NOT_IMPLEMENTED = 502 5 . 5 . 1 "command not implemented";
    NAME_WANTED = 501 5 . 5 . 4 "say your name";
    NO_ARGUMENT_WANTED = 501 5 . 5 . 4 "no argument allowed";
    ARGUMENT_WANTED = 501 5 . 5 . 4 "argument missing";
    MAIL_SYNTAX = 501 5 . 5 . 4 "syntax: MAIL FROM:<address>";
    RCPT_SYNTAX = 501 5 . 5 . 4 "syntax: RCPT TO:<address>";
    BDAT_SYNTAX = 501 5 . 5 . 4 "syntax: BDAT size [LAST]";
    AUTH_SYNTAX = 501 5 . 5 . 4 "syntax: AUTH mechanism [initial response]";
    XCLIENT_SYNTAX = 501 5 . 5 . 4 "bad XCLIENT attribute";
    BAD_PARAMETER = 501 5 . 5 . 4 "bad or repeated parameter";
    BAD_SENDER = 501 5 . 1 . 7 "bad sender address syntax";
    BAD_RECIPIENT = 501 5 . 1 . 3 "bad recipient address syntax";
    UNKNOWN_PARAMETER = 555 5 . 5 . 4 "parameter not recognized";
    UTF8_NOT_ASKED_FOR = 553 5 . 6 . 7 "address needs SMTPUTF8 with MAIL";

    HELLO_FIRST = 503 5 . 5 . 1 "bad sequence: say hello first";
    EHLO_FIRST = 503 5 . 5 . 1 "bad sequence: say EHLO first";
    NESTED_MAIL = 503 5 . 5 . 1 "bad sequence: a transaction is open";
    MAIL_FIRST = 503 5 . 5 . 1 "bad sequence: MAIL first";
    RCPT_FIRST = 503 5 . 5 . 1 "bad sequence: RCPT first";
    NO_RECIPIENTS = 554 5 . 5 . 1 "no valid recipients";
    IN_CHUNKS = 503 5 . 5 . 1 "bad sequence: this message comes by BDAT";
    IN_TRANSACTION = 503 5 . 5 . 1 "bad sequence: not within a transaction";
    TLS_STARTED = 503 5 . 5 . 1 "bad sequence: TLS is started";
    AUTHENTICATED_BEFORE = 503 5 . 5 . 1 "bad sequence: authenticated already";

    TLS_FIRST = 530 5 . 7 . 0 "must issue a STARTTLS command first";
    TLS_FOR_AUTH = 538 5 . 7 . 11 "encryption required for authentication";
    XCLIENT_DENIED = 550 5 . 7 . 1 "not allowed from here";
    UNKNOWN_MECHANISM = 504 5 . 5 . 4 "mechanism not supported";
    BAD_BASE64 = 501 5 . 5 . 2 "cannot decode base 64";
    AUTH_CANCELLED = 501 5 . 7 . 0 "authentication cancelled";
    AUTH_LINE_TOO_LONG = 500 5 . 5 . 6 "authentication exchange line is too long";

    MESSAGE_TOO_LARGE = 552 5 . 3 . 4 "message size exceeds the limit";
    HEADER_TOO_LARGE = 552 5 . 3 . 4 "message header size exceeds the limit";
    BARE_IN_BODY = 550 5 . 6 . 11 "bare CR or LF in the message is not allowed, lines end in CRLF";
}
