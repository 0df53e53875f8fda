-- Messages that are said on the telephone.
ALTER TABLE follow_ups DROP CONSTRAINT follow_ups_channel_check;
ALTER TABLE follow_ups ADD CONSTRAINT follow_ups_channel_check
    CHECK (channel IN ('sms', 'telegram', 'email', 'webhook', 'call_message'));
ALTER TABLE opt_outs DROP CONSTRAINT opt_outs_channel_check;
ALTER TABLE opt_outs ADD CONSTRAINT opt_outs_channel_check
    CHECK (channel IN ('sms', 'telegram', 'email', 'webhook', 'call_message'));
