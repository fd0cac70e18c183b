"""Model monitoring: drift of the traffic, and quality by moderators' corrections."""
