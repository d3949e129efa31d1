"""What Jiesu costs, each figure beside a floor that is measured in turn in the same run."""
