module closedloop.example/pause

go 1.24.0
