"""From source to what AWS takes: the SAM template and the zip, their deployment, and a stage's first keys."""
