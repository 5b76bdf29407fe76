Feature: What people are taught to do with virtctl
  The commands of the user guide, and what they say, word for word.

  Scenario: Start, pause, restart, stop
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Halted"
    And the user runs "virtctl start testvm"
    Then virtctl prints "VM testvm was scheduled to start"
    When the VM "testvm" is Running
    And the user runs "virtctl start testvm"
    Then virtctl fails with "Error starting VirtualMachine Operation cannot be fulfilled on virtualmachine.kubevirt.io "testvm": VM is already running"
    When the user runs "virtctl pause vm testvm"
    Then virtctl prints "VMI testvm was scheduled to pause"
    When the VM "testvm" shows "Paused"
    And the user runs "virtctl unpause vmi testvm"
    Then virtctl prints "VMI testvm was scheduled to unpause"
    When the VM "testvm" shows "Running"
    And the user runs "virtctl restart testvm"
    Then virtctl prints "VM testvm was scheduled to restart"
    When the user runs "virtctl stop testvm"
    Then virtctl prints "VM testvm was scheduled to stop"
    And the VM "testvm" shows "Stopped"

  Scenario: A forced stop needs both flags
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Halted"
    And the user runs "virtctl stop testvm --force"
    Then virtctl fails with "Must both use --force=true and set --grace-period."
    When the user runs "virtctl restart testvm --force --grace-period=5"
    Then virtctl fails with "error force restarting VirtualMachine: For force restart, only gracePeriod=0 is supported for now"

  Scenario: Nothing to pause
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Halted"
    And the user runs "virtctl pause vm testvm"
    Then virtctl fails with "Error pausing VirtualMachineInstance testvm. VirtualMachine testvm is not set to run"
    When the user runs "virtctl stop nobody"
    Then virtctl fails with "error stopping VirtualMachine virtualmachine.kubevirt.io "nobody" not found"

  Scenario: The SSH port as a Service, before the guest starts
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Halted"
    And the user runs "virtctl expose vm testvm --name=testvm-ssh --port=22222 --target-port=22 --type=NodePort"
    Then virtctl prints "Service testvm-ssh successfully created for vm testvm"
    When the user runs "virtctl start testvm"
    And the VM "testvm" is Running
    Then the Service "testvm-ssh" leads to port 22 of the pod of the VMI "testvm"
    When the user runs "virtctl expose vm testvm --name=other"
    Then virtctl fails with "couldn't find port via --port flag or introspection"

  Scenario: What the guest agent says
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi" with:
      | metadata.annotations.fake.ferrovirt.io/agent | on |
    Then condition "AgentConnected" of the VMI "testvmi" is "True"
    When the user runs "virtctl guestosinfo testvmi"
    Then virtctl shows ""hostname": "testvmi""
    When the user runs "virtctl fslist testvmi"
    Then virtctl shows ""mountPoint": "/""
    When the user runs "virtctl userlist testvmi"
    Then virtctl shows ""userName": "fedora""

  Scenario: No guest agent
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi"
    And the VMI "testvmi" becomes Running
    And the user runs "virtctl guestosinfo testvmi"
    Then virtctl fails with "VMI does not have guest agent connected"

  Scenario: The versions of both sides
    Given a cluster with 1 node
    When the user runs "virtctl version"
    Then virtctl shows "Client Version: version.Info{GitVersion:"v"
    And virtctl shows "Server Version: version.Info{GitVersion:"v"

  Scenario: The manifest of a VM
    Given a cluster with 1 node
    When the user runs "virtctl create vm --name=testvm --run-strategy=halted --volume-containerdisk=src:quay.io/containerdisks/fedora"
    Then virtctl prints:
      """
      apiVersion: kubevirt.io/v1
      kind: VirtualMachine
      metadata:
        name: testvm
      spec:
        runStrategy: Halted
        template:
          metadata: {}
          spec:
            domain:
              devices: {}
              memory:
                guest: 512Mi
              resources: {}
            terminationGracePeriodSeconds: 180
            volumes:
            - containerDisk:
                image: quay.io/containerdisks/fedora
              name: testvm-containerdisk-0
      status: {}
      """

  Scenario: Memory dumps are asked for on the VM
    Given a cluster with 1 node
    When the client creates the VM "testvm" with run strategy "Always"
    And the VM "testvm" is Running
    And the user runs "virtctl memory-dump get testvm --claim-name=nowhere"
    Then virtctl fails with "error dumping vm memory, persistentvolumeclaim.kubevirt.io "nowhere" not found"
    When the user runs "virtctl memory-dump remove testvm"
    Then virtctl fails with "can't remove memory dump association for vm testvm, no association found"

  Scenario: What is not there says so
    Given a cluster with 1 node
    When the client posts the VirtualMachineInstance "testvmi"
    And the VMI "testvmi" becomes Running
    And the user runs "virtctl objectgraph testvmi --vmi"
    Then virtctl fails with "ObjectGraph feature gate not enabled: Unable to return object graph."
    When the user runs "virtctl usbredir --no-launch testvmi"
    Then virtctl fails with "Not configured with USB Redirection"

  Scenario: Why a VM does not run
    Given a cluster with 1 node on which the image "registry.example/nowhere" cannot be pulled
    When the client creates the VM "testvm" with run strategy "Always" and the container disk "registry.example/nowhere"
    Then the VM "testvm" shows "ErrImagePull" or "ImagePullBackOff"
    When the user runs "virtctl why vm/testvm"
    Then virtctl shows "VirtualMachine/testvm is "
    And virtctl shows "run strategy Always"
    And virtctl shows "VirtualMachineInstance/testvm is Scheduling"
    And virtctl shows "is waiting: "
    And virtctl shows "Node/node01 is Ready"
