"""What if: real issues folded again under another policy or calendar, side by side with what happened."""
