"""Whether the model is still right: by what it says of the traffic, and by what moderators correct."""
