Feature: Disk images from the user's computer
  `virtctl image-upload` makes a volume, waits until it may be written to, sends the image through CDI's upload proxy, and waits until it
  is processed. Of the image only its bytes are counted here.

  Scenario: A DataVolume
    Given a cluster with 1 node
    And the file "disk.img" of 300000 bytes on the user's computer
    When the user runs "virtctl image-upload dv disk --size=1Gi --image-path=disk.img --force-bind --insecure"
    Then virtctl prints these lines, among others:
      """
      PVC default/disk not found
      DataVolume default/disk created
      Waiting for PVC disk upload pod to be ready...
      Pod now ready
      Uploading data to https://cdi-uploadproxy.cdi.svc
      """
    And virtctl shows "292.97 KiB / 292.97 KiB [==============================] 100%"
    And virtctl prints "Uploading data completed successfully, waiting for processing to complete, you can hit ctrl-c without interrupting the progress"
    And virtctl prints "Processing completed successfully"
    And virtctl prints "Uploading disk.img completed successfully"
    And the DataVolume "disk" becomes Succeeded
    When the user runs "virtctl image-upload dv disk --image-path=disk.img --insecure"
    Then virtctl fails with "PVC disk already successfully imported/cloned/updated"

  Scenario: A claim, and a DataSource that leads to it
    Given a cluster with 1 node
    And the file "disk.img" of 1000 bytes on the user's computer
    When the user runs "virtctl image-upload pvc disk --size=1Gi --image-path=disk.img --force-bind --insecure --datasource --default-instancetype=small"
    Then virtctl prints "PersistentVolumeClaim default/disk created"
    And virtctl prints "Created a new DataSource default/disk"
    And virtctl prints "Uploading disk.img completed successfully"

  Scenario: A volume that waits for its first consumer
    Given a cluster with 1 node
    And the file "disk.img" of 1000 bytes on the user's computer
    When the user runs "virtctl image-upload dv disk --size=1Gi --image-path=disk.img --insecure --storage-class=local"
    Then virtctl fails with "cannot upload to DataVolume in PendingPopulation phase, make sure the PVC is Bound, or use force-bind flag"

  Scenario: An image that does not fit
    Given a cluster with 1 node
    And the file "disk.img" of 300000 bytes on the user's computer
    When the user runs "virtctl image-upload pvc disk --size=100Ki --image-path=disk.img --force-bind --insecure --retry=1"
    Then virtctl fails with "error uploading image after 1 retries: unexpected return value 400, Virtual image size"

  Scenario: What is missing
    Given a cluster with 1 node
    And the file "disk.img" of 1000 bytes on the user's computer
    When the user runs "virtctl image-upload dv disk --image-path=disk.img"
    Then virtctl fails with "when creating a resource, the size must be specified"
    When the user runs "virtctl image-upload dv disk --image-path=disk.img --no-create"
    Then virtctl fails with "persistentvolumeclaims "disk" not found"
    When the user runs "virtctl image-upload dv disk"
    Then virtctl fails with "either image-path or archive-path must be provided"
    When the user runs "virtctl image-upload dv disk --size=1Gi --image-path=nowhere.img"
    Then virtctl fails with "open nowhere.img: "
    When the user runs "virtctl image-upload dv disk --size=1Gi --image-path=disk.img --storage-class=nowhere"
    Then virtctl fails with "storageclasses.storage.k8s.io "nowhere" not found"

  Scenario: Somebody who may only look
    Given a cluster with 1 node
    And the user "pat" with the cluster role "view"
    And the file "disk.img" of 1000 bytes on the user's computer
    When the user runs "virtctl image-upload dv disk --size=1Gi --image-path=disk.img --as=pat"
    Then virtctl fails with "cannot create resource "datavolumes" in API group "cdi.kubevirt.io""
