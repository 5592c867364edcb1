"""From files of conversations to encoded examples in shards."""
