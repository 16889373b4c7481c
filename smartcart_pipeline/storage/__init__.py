"""Files: what lies in an export, the lake of Parquet files, and the warehouse that is published from it."""
