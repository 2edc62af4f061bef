first_precedence = 20000
