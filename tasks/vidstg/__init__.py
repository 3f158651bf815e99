"""VidSTG: when and where in the video is what the sentence describes."""
