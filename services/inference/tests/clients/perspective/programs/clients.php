<?php
// The arrays of inzanty/perspectiveapi's README, posted by the library that it uses; prints what each call returns.
require "/usr/share/php/GuzzleHttp/autoload.php";

const HOST = "https://commentanalyzer.googleapis.com/v1alpha1/comments:";
$text = $argv[2];
$client = new GuzzleHttp\Client();

function call($client, string $method, array $data): array
{
    $answer = $client->post(HOST . $method . "?key=KEY", ["json" => $data]);
    return json_decode($answer->getBody(), true);
}

$scores = fn($answer) => array_map(fn($each) => $each["summaryScore"]["value"], $answer["attributeScores"]);
$analysis = [
    "comment" => ["text" => $text],
    "languages" => ["en"],
    "context" => ["entries" => ["text" => "off-topic", "type" => "PLAIN_TEXT"]],
];
$suggestion = [
    "comment" => ["text" => $text],
    "attributeScores" => ["TOXICITY" => ["summaryScore" => ["value" => 0.5]]],
    "context" => ["entries" => ["text" => "off-topic", "type" => "PLAIN_TEXT"]],
    "clientToken" => "token",
];
$calls = [
    "analyze, with a context" => fn() => $scores(call($client, "analyze", $analysis + [
        "requestedAttributes" => ["TOXICITY" => ["scoreType" => "PROBABILITY", "scoreThreshold" => 0]],
    ])),
    "analyze, [] for no parameters" => fn() => $scores(call($client, "analyze", $analysis + [
        "requestedAttributes" => ["TOXICITY" => [], "THREAT" => []],
    ])),
    "suggestScore" => fn() => call($client, "suggestscore", $suggestion)["clientToken"],
    "detectedLanguages" => fn() => call($client, "analyze", $analysis + [
        "requestedAttributes" => ["TOXICITY" => new stdClass],
    ])["detectedLanguages"][0],
];
$found = [];
foreach ($calls as $name => $make) {
    try {
        $found[$name] = $make();
    } catch (Throwable $error) {
        $found[$name] = ["error" => $error->getMessage()];
    }
}
echo json_encode($found);
