"""The dispatcher: onsets into the operations journal, and out of it what is to be carried out now."""
