-- A code that was sent to somebody else, such as forward_to, proves no address: such proofs are withdrawn.

DELETE FROM verifications
    WHERE step = 'sender' AND detail <> 'the code sent to ' || subject || ' came back';
