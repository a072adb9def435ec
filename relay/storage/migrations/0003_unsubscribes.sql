-- Who wants no campaign mail any more. An address stands here once for each domain and campaign it left.

CREATE TABLE unsubscribes (
    address    TEXT NOT NULL,               -- as addresses are compared
    domain     TEXT NOT NULL,               -- sending domain, '' for all
    campaign   TEXT NOT NULL,               -- name of the campaign, '' for all of the domain
    source     TEXT NOT NULL,               -- page, one-click, reply, operator, import
    queue_id   TEXT NOT NULL,               -- message it came from, '' when from none
    created_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (address, domain, campaign)
);
