"""Letters as mail: templates, and the ways people write money and dates. Only the mailer loads this."""
