"""Published files to records: folders, the hub, archives, parquet, fields."""
