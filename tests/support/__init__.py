"""Code that several tests share: a scripted server, a driver of sync and async, planted secrets."""
