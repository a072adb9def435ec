-- Steps of the clocks of nodes. All are set at once, and waiting entries are shifted once.

CREATE TABLE clock_steps (
    at   DOUBLE PRECISION NOT NULL,         -- Unix seconds after the step, by the clock of the node
    step DOUBLE PRECISION NOT NULL,         -- seconds
    node TEXT NOT NULL
);
