Feature: The aggregated API
  What kubectl cannot do to a machine, clients ask for below subresources.kubevirt.io. Every path answers in both versions, and what
  it refuses it refuses in the original's words.

  Scenario: What clients discover
    Given a cluster with 1 node
    Then discovery of both versions lists:
      | expand-vm-spec                                     |
      | virtualmachineinstances/vnc                        |
      | virtualmachineinstances/vnc/screenshot             |
      | virtualmachineinstances/console                    |
      | virtualmachineinstances/portforward                |
      | virtualmachineinstances/backup                     |
      | virtualmachineinstances/redefine-checkpoint        |
      | virtualmachineinstances/pause                      |
      | virtualmachineinstances/unpause                    |
      | virtualmachineinstances/freeze                     |
      | virtualmachineinstances/unfreeze                   |
      | virtualmachineinstances/reset                      |
      | virtualmachineinstances/softreboot                 |
      | virtualmachineinstances/guestosinfo                |
      | virtualmachineinstances/userlist                   |
      | virtualmachineinstances/filesystemlist             |
      | virtualmachineinstances/addvolume                  |
      | virtualmachineinstances/removevolume               |
      | virtualmachineinstances/objectgraph                |
      | virtualmachineinstances/sev/fetchcertchain         |
      | virtualmachineinstances/sev/querylaunchmeasurement |
      | virtualmachineinstances/sev/setupsession           |
      | virtualmachineinstances/sev/injectlaunchsecret     |
      | virtualmachineinstances/evacuate/cancel            |
      | virtualmachines/start                              |
      | virtualmachines/stop                               |
      | virtualmachines/restart                            |
      | virtualmachines/migrate                            |
      | virtualmachines/expand-spec                        |
      | virtualmachines/objectgraph                        |
      | virtualmachines/evacuate/cancel                    |

  Scenario: Nobody there
    Given a cluster with 1 node
    And the feature gate ObjectGraph is on
    Then these requests are answered, by both versions:
      | PUT | vm/nobody/start                         |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/stop                          |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/restart                       |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/migrate                       |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/addvolume                     | {"name": "v", "disk": {"disk": {}}, "volumeSource": {"dataVolume": {"name": "v"}}}         | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/removevolume                  | {"name": "v"}                                                                              | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/memorydump                    | {"claimName": "c"}                                                                         | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/removememorydump              |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vm/nobody/evacuate/cancel               | {"evacuationNodeName": "n"}                                                                | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | GET | vm/nobody/expand-spec                   |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | GET | vm/nobody/objectgraph                   |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | GET | vm/nobody/portforward/22                |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | GET | vm/nobody/portforward/22/tcp            |                                                                                            | 404 | virtualmachine.kubevirt.io "nobody" not found         |
      | PUT | vmi/nobody/pause                        |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/unpause                      |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/freeze                       | {"unfreezeTimeout": "5m"}                                                                  | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/unfreeze                     |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/reset                        |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/softreboot                   |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/addvolume                    | {"name": "v", "disk": {"disk": {}}, "volumeSource": {"dataVolume": {"name": "v"}}}         | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/removevolume                 | {"name": "v"}                                                                              | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/evacuate/cancel              | {"evacuationNodeName": "n"}                                                                | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/backup                       | {}                                                                                         | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/redefine-checkpoint          | {}                                                                                         | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/guestosinfo                  |                                                                                            | 500 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/userlist                     |                                                                                            | 500 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/filesystemlist               |                                                                                            | 500 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/vnc/screenshot               |                                                                                            | 500 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/objectgraph                  |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/console                      |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/vnc                          |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/usbredir                     |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/vsock?port=1                 |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/portforward/22               |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/portforward/22/udp           |                                                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/sev/fetchcertchain           |                                                                                            | 500 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | GET | vmi/nobody/sev/querylaunchmeasurement   |                                                                                            | 500 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/sev/setupsession             | {"session": "s", "dhCert": "c"}                                                            | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | vmi/nobody/sev/injectlaunchsecret       | {"header": "h", "secret": "s"}                                                             | 404 | virtualmachineinstance.kubevirt.io "nobody" not found |
      | PUT | expand-vm-spec                          |                                                                                            | 400 | empty request body                                    |

  Scenario: What there is not
    Given a cluster with 1 node
    Then these requests are answered, by both versions:
      | GET    | vm/a/start                | | 405 | Method Not Allowed |
      | PUT    | vmi/a/console             | | 405 | Method Not Allowed |
      | PUT    | vm/a/pause                | | 404 | Page Not Found     |
      | PUT    | vmi/a/start               | | 404 | Page Not Found     |
      | GET    | vm/a/portforward          | | 404 | Page Not Found     |
      | PUT    | vmi/a/dance               | | 404 | Page Not Found     |

  Scenario: A VM that is stopped
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Halted"
    Then these requests are answered, by both versions:
      | PUT | vm/vm/stop              |                             | 409 | Operation cannot be fulfilled on virtualmachine.kubevirt.io "vm": VM is not running                                                  |
      | PUT | vm/vm/restart           |                             | 409 | Operation cannot be fulfilled on virtualmachine.kubevirt.io "vm": RunStategy Halted does not support manual restart requests         |
      | PUT | vm/vm/restart           | {"gracePeriodSeconds": 5}   | 400 | For force restart, only gracePeriod=0 is supported for now                                                                           |
      | PUT | vm/vm/restart           | {"gracePeriodSeconds": -1}  | 400 | gracePeriod has to be greater or equal to 0                                                                                          |
      | PUT | vm/vm/start             | {"paused": "maybe"}         | 400 | Can not unmarshal Request body to struct, error:                                                                                     |
      | PUT | vm/vm/start             | {"dryRun": ["all"]}         | 500 | dryRun: Unsupported value: "all"                                                                                                     |
      | PUT | vm/vm/start             | {"dryRun": ["All"]}         | 202 |                                                                                                                                      |
      | PUT | vm/vm/migrate           |                             | 404 | virtualmachineinstance.kubevirt.io "vm" not found                                                                                    |
      | PUT | vm/vm/evacuate/cancel   | {"evacuationNodeName": "n"} | 409 | VMI is not started                                                                                                                   |
      | GET | vm/vm/portforward/22    |                             | 409 | VMI is not started                                                                                                                   |
      | PUT | vm/vm/memorydump        |                             | 400 | Memory dump requires claim name to be set                                                                                            |
      | PUT | vm/vm/memorydump        | {"claimName": "c"}          | 404 | virtualmachineinstance.kubevirt.io "vm" not found                                                                                    |
      | PUT | vm/vm/removememorydump  |                             | 409 | can't remove memory dump association for vm vm, no association found                                                                 |
      | PUT | vm/vm/addvolume         |                             | 400 | Request with no body, a new name is expected as the request body                                                                     |
      | PUT | vm/vm/addvolume         | {"name": "v"}               | 400 | AddVolumeOptions requires disk to not be nil                                                                                         |
      | PUT | vm/vm/addvolume         | {"name": "v", "disk": {"disk": {}}} | 400 | AddVolumeOptions requires VolumeSource to not be nil                                                                         |
      | PUT | vm/vm/removevolume      | {"name": "v"}               | 409 | Unable to remove volume [v] because it does not exist                                                                                |
      | PUT | vm/vm/removevolume      | {"name": "containerdisk"}   | 409 | Unable to remove volume [containerdisk] because it is not hotpluggable                                                               |
      | GET | vm/vm/objectgraph       |                             | 400 | ObjectGraph feature gate not enabled: Unable to return object graph.                                                                 |
      | GET | vm/vm/expand-spec       |                             | 200 | "runStrategy":"Halted"                                                                                                               |
    And the run strategy of the VM "vm" is "Halted"

  Scenario: A guest that runs
    Given a cluster with 1 node
    When the client creates the VM "vm" with run strategy "Manual"
    And the client starts the VM "vm"
    And the VM "vm" is Running
    Then these requests are answered, by both versions:
      | PUT | vm/vm/start                     |                             | 409 | VM is already running                                                                                    |
      | PUT | vmi/vm/unpause                  |                             | 409 | VMI is not paused                                                                                        |
      | PUT | vmi/vm/freeze                   | {}                          | 500 | unexpected return code 400 (400 Bad Request), message: Unfreeze timeout in freeze request is not set     |
      | PUT | vmi/vm/addvolume                | {"name": "v", "disk": {"disk": {}}, "volumeSource": {"dataVolume": {"name": "v"}}} | 400 | VMI default/vm is owned by a VM                   |
      | GET | vmi/vm/guestosinfo              |                             | 500 | VMI does not have guest agent connected                                                                  |
      | GET | vmi/vm/usbredir                 |                             | 409 | Not configured with USB Redirection                                                                      |
      | GET | vmi/vm/vsock?port=1             |                             | 400 | VSOCK is not attached.                                                                                   |
      | GET | vmi/vm/portforward/ssh          |                             | 500 | dialing VM:                                                                                              |
      | GET | vmi/vm/portforward/22/sctp      |                             | 500 | dialing VM: unknown protocol sctp                                                                        |
      | GET | vmi/vm/domainstate              |                             | 200 | "state":"Running"                                                                                        |
      | PUT | vmi/vm/redefine-checkpoint      | {}                          | 409 | ChangedBlockTracking is not enabled                                                                      |
      | PUT | vmi/vm/backup                   | {}                          | 501 | is not supported by this server                                                                          |
      | PUT | vmi/vm/evacuate/cancel          | {"evacuationNodeName": "n"} | 200 |                                                                                                          |
      | PUT | vm/vm/evacuate/cancel           |                             | 400 | No body                                                                                                  |
      | PUT | vm/vm/memorydump                | {"claimName": "nowhere"}    | 404 | persistentvolumeclaim.kubevirt.io "nowhere" not found                                                    |
      | GET | vmi/vm/sev/fetchcertchain       |                             | 500 | Attestation not requested for VMI                                                                        |
      | GET | vmi/vm/sev/querylaunchmeasurement |                           | 500 | Attestation not requested for VMI                                                                        |
      | PUT | vmi/vm/sev/setupsession         |                             | 400 | Request with no body: SEV session parameters are required                                                |
      | PUT | vmi/vm/sev/setupsession         | {"session": "s"}            | 400 | DH cert is required                                                                                      |
      | PUT | vmi/vm/sev/setupsession         | {"session": "s", "dhCert": "c"} | 409 | VMI is not in Scheduled phase                                                                        |
      | PUT | vmi/vm/sev/injectlaunchsecret   |                             | 400 | Request with no body: SEV secret parameters are required                                                 |
      | PUT | vmi/vm/sev/injectlaunchsecret   | {"header": "h", "secret": "s"} | 409 | Attestation not requested for VMI                                                                     |
    When these requests are answered, one after the other:
      | PUT | vmi/vm/pause      | {"dryRun": ["All"]} | 200 |                       |
      | PUT | vmi/vm/pause      |                     | 200 |                       |
    And condition "Paused" of the VMI "vm" is "True"
    Then these requests are answered, one after the other:
      | PUT | vmi/vm/pause            |  | 409 | VMI is already paused |
      | PUT | vmi/vm/softreboot       |  | 409 | VMI is paused         |
      | GET | vm/vm/portforward/22    |  | 409 | VMI is paused         |
      | PUT | vmi/vm/unpause          |  | 200 |                       |
      | PUT | vmi/vm/reset            |  | 200 |                       |

  Scenario: Freezing through the guest agent
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "vmi" with:
      | metadata.annotations.fake.ferrovirt.io/agent | on |
    And condition "AgentConnected" of the VMI "vmi" is "True"
    Then these requests are answered, one after the other:
      | PUT | vmi/vmi/freeze         | {"unfreezeTimeout": "5m0s"} | 200 |                            |
      | GET | vmi/vmi/domainstate    |                             | 200 | "state":"Running"          |
      | PUT | vmi/vmi/unfreeze       |                             | 200 |                            |
      | PUT | vmi/vmi/softreboot     |                             | 200 |                            |
      | GET | vmi/vmi/guestosinfo    |                             | 200 | "hostname":"vmi"           |
      | GET | vmi/vmi/filesystemlist |                             | 200 | "items":[                  |
      | GET | vmi/vmi/userlist       |                             | 200 | "items":[                  |

  Scenario: What a VM stands on
    Given a cluster with 1 node
    And the feature gate ObjectGraph is on
    When the client creates the VM "vm" with run strategy "Always"
    And the VM "vm" is Running
    Then these requests are answered, by both versions:
      | GET | vm/vm/objectgraph  |                                                                                       | 200 | "kind":"VirtualMachineInstance","name":"vm","namespace":"default" |
      | GET | vm/vm/objectgraph  |                                                                                       | 200 | {"kubevirt.io/dependency-type":"compute"}                         |
      | GET | vm/vm/objectgraph  | {"labelSelector": {"matchLabels": {"kubevirt.io/dependency-type": "network"}}}        | 200 | "kind":"VirtualMachine","name":"vm"                               |
      | GET | vmi/vm/objectgraph |                                                                                       | 200 | "kind":"Pod","name":"virt-launcher-vm-                            |
      | GET | vmi/vm/objectgraph | {"includeOptionalNodes": "no"}                                                        | 400 | Can not unmarshal Request body to struct, error:                  |

  Scenario: Devices of the client, and a way past the network
    Given a cluster with 1 node
    And the feature gate VSOCK is on
    # virt-handler offers the device with its next heartbeat.
    When 2 minutes pass
    And the client posts the VirtualMachineInstance "vmi" with:
      | spec.domain.devices.clientPassthrough | {}   |
      | spec.domain.devices.autoattachVSOCK   | true |
    And the VMI "vmi" becomes Running
    Then the stream "vmi/vmi/usbredir" of the guest echoes "hello device"
    And the stream "vmi/vmi/vsock?port=7&tls=false" of the guest echoes "hello guest"
    And the stream "vmi/vmi/vsock?port=4711&tls=false" is refused with 500 and "failed to dial VSOCK for VM: port 4711"
    And the stream "vmi/vmi/vsock?port=seven&tls=false" is refused with 500 and "invalid syntax"
    And 4 streams "vmi/vmi/usbredir" can be open at once, and no more
