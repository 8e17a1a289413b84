-- Run once by the image of PostgreSQL, before it accepts connections from the network.
\set password `cat /run/secrets/orders-password`

CREATE TABLE orders (id integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY, product text NOT NULL, amount integer NOT NULL);
INSERT INTO orders (product, amount) VALUES ('tea', 3), ('coffee', 2);

-- No more than the agent needs: it has no way to change its own password, and sees no other table.
CREATE ROLE agent LOGIN PASSWORD :'password';
GRANT SELECT ON orders TO agent;
