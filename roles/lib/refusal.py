from roles.lib.stop import Refused as Refused
