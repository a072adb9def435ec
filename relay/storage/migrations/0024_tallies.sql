-- How often what happened, by sending domain or identity and span: five minutes for 90 days, then an hour.

CREATE TABLE tallies (
    at     BIGINT NOT NULL,             -- Unix seconds: the beginning of the span
    kind   TEXT NOT NULL,               -- kind of event, with its category; '/campaign' behind it for campaign mail
    domain TEXT NOT NULL,               -- sending domain, or address of an identity
    count  BIGINT NOT NULL,
    PRIMARY KEY (kind, at, domain)
);
