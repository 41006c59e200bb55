"""What autoscalers and routers go by: of each replica, and of all replicas of a model together."""
