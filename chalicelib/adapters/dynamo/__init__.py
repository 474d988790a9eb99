"""DynamoDB: the tables, the store over the billing table, and a meter of request units."""
